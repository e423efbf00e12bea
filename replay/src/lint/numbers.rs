//! Whole numbers without a limit, as people read them.

use num_bigint::BigUint;

/// Returns `n!`.
pub(super) fn factorial(n: usize) -> BigUint {
    (1..=n).map(BigUint::from).product()
}

/// Returns the number of ways to choose `k` of `n`.
pub(super) fn choose(n: u64, k: u64) -> BigUint {
    if k > n {
        return BigUint::ZERO;
    }
    // Each step divides without a rest: the product of i + 1 numbers in a row by (i + 1)!.
    (0..k).fold(BigUint::from(1_u8), |chosen, i| chosen * (n - i) / (i + 1))
}

/// Returns `n (n - 1) ... (n - k + 1)`, the number of sequences of `k` different ones of `n`.
pub(super) fn arrangements(n: u64, k: u64) -> BigUint {
    if k > n {
        return BigUint::ZERO;
    }
    (0..k).map(|i| BigUint::from(n - i)).product()
}

/// Writes a number with a comma between thousands.
pub(super) fn grouped(number: &BigUint) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number with its first three digits, where it has more than 15: `1.34 x 10^20`.
pub(super) fn short(number: &BigUint) -> String {
    let digits = number.to_string();
    match digits.len() {
        0..=15 => grouped(number),
        length => format!("{}.{} x 10^{}", &digits[..1], &digits[1..3], length - 1),
    }
}

/// Divides, and rounds to the nearest.
pub(super) fn rounded(number: &BigUint, divisor: &BigUint) -> BigUint {
    (number + divisor / 2_u8) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(grouped(&factorial(5)), "120");
        assert_eq!(grouped(&choose(10, 2)), "45");
        assert_eq!(grouped(&choose(2, 10)), "0");
        assert_eq!(grouped(&arrangements(65_535, 2)), "4,294,770,690");
        assert_eq!(grouped(&arrangements(1, 2)), "0");
        assert_eq!(grouped(&BigUint::from(65_536_u32).pow(3)), "281,474,976,710,656");
    }

    #[test]
    fn large_numbers_are_cut() {
        assert_eq!(short(&BigUint::from(999_999_999_999_999_u64)), "999,999,999,999,999");
        assert_eq!(short(&BigUint::from(1_234_567_890_123_456_u64)), "1.23 x 10^15");
    }
}
