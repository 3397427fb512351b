/* For any processor: SSE or NEON make of eight numbers what they have. */

#define LANES 8
#define TARGET
#define ROWS 4
#define ANSWER answer_plain
#include "forward.h"
