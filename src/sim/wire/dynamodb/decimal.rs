//! DynamoDB's numbers: decimals of up to 38 digits, written as text. Compared and added exactly.

use std::cmp::Ordering;

/// Digits that a number may have.
const MOST_DIGITS: usize = 38;
/// Beyond which tens a number may not go.
const MOST_TENS: i64 = 126;

/// A decimal: `0.DIGITS` times ten to the power of `tens`, without zeros at either end. Zero has no digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    tens: i64,
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let letters = || whole.bytes().chain(fraction.bytes());
        if letters().next().is_none() || !letters().all(|letter| letter.is_ascii_digit()) {
            return None;
        }
        let digits = letters().map(|letter| letter - b'0').collect();
        let tens = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
        let found = Self { negative, digits, tens }.trimmed();
        (found.digits.len() <= MOST_DIGITS && found.tens.abs() <= MOST_TENS).then_some(found)
    }

    fn trimmed(mut self) -> Self {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.tens -= i64::try_from(zeros).unwrap_or(0);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            (self.negative, self.tens) = (false, 0);
        }
        self
    }

    /// As DynamoDB gives it back: no zeros that say nothing.
    pub(super) fn text(&self) -> String {
        if self.digits.is_empty() {
            return "0".to_owned();
        }
        let digits: String = self.digits.iter().map(|digit| char::from(b'0' + digit)).collect();
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let plain = match usize::try_from(self.tens) {
            Ok(tens) if self.tens >= length => digits.clone() + &"0".repeat(tens - digits.len()),
            Ok(tens) if tens > 0 => format!("{}.{}", &digits[..tens], &digits[tens..]),
            _ => format!("0.{}{digits}", "0".repeat(usize::try_from(-self.tens).unwrap_or(0))),
        };
        if self.negative { format!("-{plain}") } else { plain }
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    fn size(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.tens.cmp(&other.tens).then_with(|| self.digits.cmp(&other.digits)),
        }
    }

    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.size(other),
            (true, true) => other.size(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    pub(super) fn negated(mut self) -> Self {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    /// The digit that stands for ten to the power of `place`, the first after the point being -1.
    fn digit(&self, place: i64) -> i16 {
        let at = usize::try_from(self.tens - 1 - place).ok();
        at.and_then(|at| self.digits.get(at)).map_or(0, |digit| i16::from(*digit))
    }

    /// `None` when the sum has too many digits.
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        let lowest = |number: &Self| number.tens - i64::try_from(number.digits.len()).unwrap_or(0);
        let (low, high) = (lowest(self).min(lowest(other)), self.tens.max(other.tens));
        let (large, small) = if self.size(other) == Ordering::Less { (other, self) } else { (self, other) };
        let sign = if large.negative == small.negative { 1 } else { -1 };
        let (mut digits, mut carry) = (Vec::new(), 0);
        for place in low..=high {
            let sum = large.digit(place) + sign * small.digit(place) + carry;
            digits.push(u8::try_from(sum.rem_euclid(10)).ok()?);
            carry = sum.div_euclid(10);
        }
        digits.reverse();
        let sum = Self { negative: large.negative, digits, tens: high + 1 }.trimmed();
        (sum.digits.len() <= MOST_DIGITS).then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        for (given, plain) in [
            ("007", "7"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("-25E-4", "-0.0025"),
            ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ] {
            assert_eq!(decimal(given).text(), plain, "{given}");
        }
        for bad in ["", "-", ".", "1.2.3", "x", "1e", "123456789012345678901234567890123456789", "1e200"] {
            assert_eq!(Decimal::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn order_is_by_value() {
        let rising = ["-10", "-9.5", "-0.01", "0", "0.009", "0.01", "9", "10", "1e20", "100000000000000000001"];
        for pair in rising.windows(2) {
            assert_eq!(decimal(pair[0]).order(&decimal(pair[1])), Ordering::Less, "{pair:?}");
        }
        assert_eq!(decimal("1.0").order(&decimal("1")), Ordering::Equal);
    }

    #[test]
    fn sums_are_exact() {
        for (a, b, sum) in
            [("1", "2", "3"), ("0.1", "0.2", "0.3"), ("5", "-7", "-2"), ("-5", "5", "0"), ("999", "1", "1000")]
        {
            assert_eq!(decimal(a).plus(&decimal(b)).unwrap().text(), sum, "{a} + {b}");
        }
        assert_eq!(decimal("9007199254740993").plus(&decimal("0")).unwrap().text(), "9007199254740993");
    }
}
