//! Durations as people write them: `500ms`, `90s`, `5m`, `1h30m`, `90d`. A bare number is refused: nobody knows its unit.

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Ten years: beyond it is a mistake.
const MOST_MS: u64 = 3_650 * 86_400_000;

/// Milliseconds.
///
/// # Errors
/// Why it is not a duration and how to write it.
pub fn parse_ms(text: &str) -> Result<u64, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("{text:?} has no unit: write {text}s for seconds or {text}ms for milliseconds"));
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last: Option<usize> = None;
    while !rest.is_empty() {
        let (number, unit, left) = first_part(rest).ok_or_else(|| not_a_duration(text))?;
        let position = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(|| not_a_duration(text))?;
        if last.is_some_and(|last| position <= last) {
            return Err(format!("{text:?} is not a duration: units go from large to small, each once, like 1h30m"));
        }
        last = Some(position);
        total = number.checked_mul(UNITS[position].1).and_then(|ms| total.checked_add(ms)).ok_or_else(too_long)?;
        rest = left;
    }
    match total {
        _ if text.is_empty() => Err(not_a_duration(text)),
        total if total > MOST_MS => Err(too_long()),
        total => Ok(total),
    }
}

/// One number in the largest unit that fits exactly: `90s`, `62h`; zero is `0s`.
#[must_use]
pub fn format_ms(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let (name, size) = *UNITS.iter().find(|(_, size)| ms.is_multiple_of(*size)).unwrap_or(&("ms", 1));
    format!("{}{name}", ms / size)
}

fn first_part(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let after = &text[digits..];
    let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    Some((number, &after[..unit], &after[unit..]))
}

fn not_a_duration(text: &str) -> String {
    format!(
        "{text:?} is not a duration: write whole numbers with a unit (ms, s, m, h, d), like 500ms, 90s, 5m or 1h30m"
    )
}

fn too_long() -> String {
    "is longer than ten years".to_owned()
}

#[cfg(test)]
mod tests {
    use super::{format_ms, parse_ms};

    #[test]
    fn durations_as_people_write_them() {
        for (text, ms) in
            [("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("500ms", 500), ("0s", 0), ("90d", 7_776_000_000)]
        {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "",
            "30",
            "1.5",
            "s",
            "5x",
            "5 m",
            "-5s",
            "1m1h",
            "5s5s",
            "5sec",
            "99999999999999999999s",
            "9999999d",
            "1h30",
            "٣s",
        ] {
            assert!(parse_ms(text).is_err(), "{text:?} was accepted");
        }
        assert!(parse_ms("30").unwrap_err().contains("30s"));
    }

    #[test]
    fn what_is_written_reads_back() {
        for ms in [0, 1, 500, 1_000, 1_500, 60_000, 90_000, 5_400_000, 86_400_000, 86_400_001, 223_200_000] {
            assert_eq!(parse_ms(&format_ms(ms)), Ok(ms));
        }
        assert_eq!(format_ms(90_000), "90s");
        assert_eq!(format_ms(223_200_000), "62h");
    }
}
