"""The constants that tune the loop, and why each has its value."""

from kinestream.streamer.wire.messages import MAX_BYTES

# Messages that libzmq holds for us -----------------------------------------------------------------------------------

# Of each connection, 3 MiB at most: past that, a PUSH sender waits and a publisher drops. Where few connections are
# allowed each may have more, of the same 300 MiB in all: one that carries thousands of streams needs that, since
# libzmq's thread must wait for its turn on a busy processor. To change a mark while peers come and go crashes libzmq
# 4.3, so it does not follow how many there are.
INGEST_HWM, INGEST_HWM_MOST = 48, 1000
INGEST_BYTES = 300 << 20
LABELS_HWM = 4000
"""For one subscriber, some 4 MB: past that, its labels are dropped rather than ours delayed."""
NOTICES_HWM = 2
"""Subscriptions that wait from one subscriber. libzmq remembers all of them before they are counted here: so few."""
WATCH_HWM = 2000
"""For one watcher, some 1 MB, 17 MB where devices have very many channels: past that, it misses messages."""
WATCH_BYTES_PER_S = 64 << 20
"""What is published to those who watch: past that it is left out."""
MOST_WATCHERS = 16
CONTROL_HWM = 8
"""Requests that wait of each connection, and answers to it."""
HEARTBEAT_BYTES = 32.0
"""A second, that a connection's heartbeats take where answers to them do not tell how many there were."""
HEARTBEAT_BYTES_ENCRYPTED = 160.0
"""The same where connections are encrypted, which makes each heartbeat longer by 33."""
CONTROL_REQUESTS, CONTROL_NS = 64, 3_000_000
"""Requests that are answered in one go, and how long that may take: a description takes up to milliseconds."""
LOOKUPS_MS = 1
"""How long to sleep while requests for the history wait for their turn."""
LINGER_MS = 1000
"""Time given to subscribers to fetch what is left when the streamer stops."""

IO_THREADS = 1
"""Threads of libzmq that read and write connections, beside ours. See docs/scaling.md."""

# Receiving messages --------------------------------------------------------------------------------------------------

DRAIN_MESSAGES, DRAIN_MESSAGES_LEAST = 512, 2
"""Messages taken in one go, some two milliseconds' worth: then the loop looks whether a batch has been named."""
DRAIN_BYTES = 256 << 10
"""The same in bytes."""
# A drain that takes longer than this, and longer than this for each message (most take a quarter), makes the next one
# smaller.
SLOW_DRAIN_NS = 3_000_000
SLOW_MESSAGE_NS = 8_000
BACKLOG_BYTES = 4 << 20
"""What may wait to be taken in turns: past that, nothing more is read."""

# Reading descriptions ------------------------------------------------------------------------------------------------

# New descriptions may take a quarter of the time, or so long at a stretch, for 10,000 streams of a hundred channels
# that all begin at once.
DESCRIPTION_TIME_DIVISOR = 4
DESCRIPTION_BURST_NS = 2_000_000_000

# Recognising ---------------------------------------------------------------------------------------------------------

INLINE_INFERENCE_NS = 3_000_000
"""Batches that take less are named by the loop itself: a thread would have to wake up, on a processor that messages
need, too."""
FULL_DRAINS = 4
"""Drains in a row that left messages behind: then it is no mere burst, and the thread names small batches as well."""
BATCHES_UNDERWAY = 2
"""At a time: one is named while another waits behind it, if it has windows enough to be named efficiently."""
BATCH_WAIT_S = 0.003
"""So long the loop sleeps at most while a batch is named: to take messages a few at a time costs more."""
SWITCH_INTERVAL_S = 0.0001
"""How long one Python thread may keep another waiting: Python's own 5 ms are as long as a batch takes."""

# Warming up before an expected window: see `kinestream.streamer.server.warmup` ---------------------------------------

WARM_UP = True
"""Whether a streamer does so unless it is asked otherwise."""
WARM_UP_AHEAD_NS = 10_000_000
"""How long before a window is expected it begins."""
WARM_UP_COLD_FACTOR = 4
"""How much longer the first run may take than the shortest so far. An engine that is too slow for that is not warmed
up: a window might have to wait for it."""
WARM_UP_QUIET_NS = 400_000
"""No run may end so shortly before the window: it might have to wait."""
WARM_UP_LATE_NS = 1_500_000
"""How long past its time the window is waited for."""

# Loading another bundle ----------------------------------------------------------------------------------------------

TOLD_OF_BUNDLE = 200
"""Streams that are told of it in one turn of the loop: a subscriber of all must not miss labels for it."""

# Waiting -------------------------------------------------------------------------------------------------------------

POLL_MS = 200
"""How soon a stop or a silent stream is noticed while nothing arrives."""
QUIET_MS = 50
"""When stopping: after so long without a message nothing more is on its way."""
DRAIN_S = 2.0
"""When stopping: senders that go on sending are not waited for any longer, unless it is asked for."""
MOST_DRAIN_S = 3600.0
CONNECTIONS_INTERVAL_NS = 1_000_000
"""How often to look who has come, gone and subscribed."""
HOUSEKEEPING_INTERVAL_NS = 1_000_000_000
MEMORY_INTERVAL_NS = 10_000_000_000
"""How often freed memory goes back to the system; seldom, since labels wait meanwhile, 0.2 ms for a megabyte."""


def ingest_hwm(most_senders: int | None) -> int:
    """Return how many messages may wait of each of so many connections."""
    if most_senders is None:
        return INGEST_HWM
    return min(max(INGEST_BYTES // (most_senders * MAX_BYTES), INGEST_HWM), INGEST_HWM_MOST)
