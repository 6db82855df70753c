//! Words that reports share.

/// Two units at most: `350ms`, `4.2s`, `1m30s`, `2h5m`, `3d4h`.
#[must_use]
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..10_000 if ms % 1000 >= 100 => format!("{s}.{}s", ms % 1000 / 100),
        1_000..10_000 => format!("{s}s"),
        10_000..60_000 => format!("{s}s"),
        60_000..3_600_000 => two(s / 60, "m", s % 60, "s"),
        3_600_000..86_400_000 => two(s / 3600, "h", s % 3600 / 60, "m"),
        _ => two(s / 86_400, "d", s % 86_400 / 3600, "h"),
    }
}

fn two(big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
}
