//! "Did you mean" for words that nobody knows.

/// ` (did you mean …?)` when one of the known words is close, else nothing.
#[must_use]
pub fn nearest(word: &str, known: &[&str]) -> String {
    let word = word.to_lowercase();
    let most = if word.chars().count() < 5 { 1 } else { 2 };
    let closest = known.iter().map(|known| (distance(&word, &known.to_lowercase()), known)).min();
    match closest {
        Some((distance, known)) if distance <= most => format!(" (did you mean {known}?)"),
        _ => String::new(),
    }
}

/// Edits between two words, a swap of neighbours counting once; words longer than any field of ours are never close.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above: &[usize] = &rows[i - 1];
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn close_words_are_suggested_and_far_ones_are_not() {
        let known = ["records", "hosted_zone", "switch"];
        assert_eq!(nearest("recrods", &known), " (did you mean records?)");
        assert_eq!(nearest("hostedZone", &known), " (did you mean hosted_zone?)");
        assert_eq!(nearest("health", &known), "");
    }
}
