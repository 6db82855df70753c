//! Names and TXT values, as Route 53 writes them and as failoverd does.
//!
//! <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html>, and "TXT record type".

/// Bytes of one string of a TXT value.
const TXT_STRING: usize = 255;

/// Lower case, no trailing dot, octal escapes undone: `\052.example.com.` is `*.example.com`.
#[must_use]
pub fn plain_name(name: &str) -> String {
    unescape(name.strip_suffix('.').unwrap_or(name)).to_ascii_lowercase()
}

/// With octal escapes and a trailing dot: what `plain_name` undoes.
#[must_use]
pub fn escaped_name(name: &str) -> String {
    let escaped = name.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => text + &char::from(byte).to_string(),
        _ => text + &format!("\\{byte:03o}"),
    });
    escaped + "."
}

/// `\ooo` becomes the character; anything else behind a backslash stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|digits| first == b'\\' && digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        let value = octal.map(|digits| digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
        match value.and_then(|value| u8::try_from(value).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A TXT value in quotes, in strings of at most 255 bytes.
#[must_use]
pub fn quoted_text(value: &str) -> String {
    let mut strings = vec![String::new()];
    let mut length = 0;
    for letter in value.chars() {
        let encoded = letter.to_string();
        if length + encoded.len() > TXT_STRING {
            strings.push(String::new());
            length = 0;
        }
        length += encoded.len();
        let string = strings.last_mut().map_or_else(String::new, std::mem::take);
        let string = match letter {
            '"' | '\\' => string + "\\" + &encoded,
            ' '..='~' => string + &encoded,
            _ => encoded.bytes().fold(string, |string, byte| string + &format!("\\{byte:03o}")),
        };
        if let Some(last) = strings.last_mut() {
            *last = string;
        }
    }
    strings.iter().map(|string| format!("\"{string}\"")).collect::<Vec<_>>().join(" ")
}

/// The strings of a TXT value without their quotes, one after the other.
#[must_use]
pub fn plain_text(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut inside = false;
    let mut letters = value.bytes().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            b'"' => inside = !inside,
            b'\\' => {
                let octal: Vec<u8> = letters.clone().take(3).collect();
                let value = octal.iter().try_fold(0_u32, |sum, digit| {
                    (b'0'..=b'7').contains(digit).then(|| sum * 8 + u32::from(digit - b'0'))
                });
                match value.filter(|_| octal.len() == 3).and_then(|value| u8::try_from(value).ok()) {
                    Some(byte) => {
                        bytes.push(byte);
                        letters.nth(2);
                    }
                    None => bytes.extend(letters.next()),
                }
            }
            // Between strings there is only space.
            b' ' if !inside => {}
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_people_write_them() {
        assert_eq!(plain_name("\\052.Example.COM."), "*.example.com");
        assert_eq!(plain_name("a\\040b.example.com"), "a b.example.com");
        assert_eq!(plain_name("_failoverd.shop.example.com."), "_failoverd.shop.example.com");
        assert_eq!(plain_name("odd\\9.example.com."), "odd\\9.example.com");
    }

    #[test]
    fn texts_go_there_and_back() {
        let long = "x".repeat(300);
        for text in
            ["fleet=prod generation=0 epoch=2 index=31", "say \"hi\"", "back\\slash", "ümläut", "", long.as_str()]
        {
            assert_eq!(plain_text(&quoted_text(text)), text, "{}", quoted_text(text));
        }
        assert_eq!(quoted_text("a b"), "\"a b\"");
        assert_eq!(quoted_text("é"), "\"\\303\\251\"");
        assert_eq!(quoted_text(&long).matches('"').count(), 4);
        assert_eq!(plain_text("\"one \" \"two\""), "one two");
    }
}
