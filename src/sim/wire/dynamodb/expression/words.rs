//! Words of an expression, and reading one after the other.

use super::{Names, Path};

/// An expression, word by word.
pub(in super::super) struct Reader<'a> {
    words: Vec<String>,
    at: usize,
    pub(in super::super) names: &'a Names<'a>,
}

/// Letters, digits and what marks names and values make words; signs stand alone, but for `<=`, `>=` and `<>`.
fn words(expression: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_letter = false;
    for letter in expression.chars() {
        let is_letter = letter.is_alphanumeric() || "_#:".contains(letter);
        let joins = match words.last().map(String::as_str) {
            Some("<") => letter == '=' || letter == '>',
            Some(">") => letter == '=',
            _ => false,
        };
        match words.last_mut() {
            Some(last) if (is_letter && was_letter) || joins => last.push(letter),
            _ if letter.is_whitespace() => {}
            _ => words.push(letter.to_string()),
        }
        was_letter = is_letter;
    }
    words
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(expression: &str, names: &'a Names<'a>) -> Self {
        Self { words: words(expression), at: 0, names }
    }

    pub(in super::super) fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(String::as_str)
    }

    /// Whether the next word is this one; then it is taken. Capitals do not matter.
    pub(in super::super) fn takes(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|there| there.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    /// The same of a function's name, which a bracket follows: an attribute may be called so too.
    pub(in super::super) fn takes_function(&mut self, name: &str) -> bool {
        let called = self.words.get(self.at + 1).is_some_and(|after| after == "(");
        let found = called && self.peek() == Some(name);
        self.at += if found { 2 } else { 0 };
        found
    }

    pub(in super::super) fn next(&mut self) -> Result<String, String> {
        let word = self.words.get(self.at).ok_or("Syntax error; it ends too early")?;
        self.at += 1;
        Ok(word.clone())
    }

    pub(in super::super) fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end".to_owned(), |found| format!("\"{found}\""));
        Err(format!("Syntax error; token: {found}, where \"{word}\" should be"))
    }

    pub(in super::super) fn end(&self) -> Result<(), String> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(format!("Syntax error; token: \"{word}\"")),
        }
    }

    /// `a`, `#a.b`, `a[0].c`.
    pub(in super::super) fn path(&mut self) -> Result<Path, String> {
        let word = self.next()?;
        let is_name = word.chars().all(|letter| letter.is_alphanumeric() || "_#".contains(letter));
        if !is_name {
            return Err(format!("Syntax error; token: \"{word}\""));
        }
        let mut path = Path::new(self.names.name(&word)?);
        loop {
            if self.takes(".") {
                let word = self.next()?;
                path.enter(self.names.name(&word)?);
            } else if self.takes("[") {
                let word = self.next()?;
                path.element(word.parse().map_err(|_| format!("Syntax error; token: \"{word}\""))?);
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_words_of_their_own() {
        assert_eq!(words("#a<=:b AND c<>d[0].e"), ["#a", "<=", ":b", "AND", "c", "<>", "d", "[", "0", "]", ".", "e"]);
        assert_eq!(words("a < :v"), ["a", "<", ":v"]);
        assert_eq!(words("a = :v)"), ["a", "=", ":v", ")"]);
    }
}
