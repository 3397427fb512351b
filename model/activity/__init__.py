"""Labels become activities: smoothed, with a least duration, uncertain where nothing is probable enough."""
