//! What a client asks for: products and quantities, no prices.

use std::collections::HashSet;

use chassis::error::{Invalid, Validator};

use super::Sku;

/// Most lines of one order.
const LINES_MAX: usize = 100;

/// Most pieces of one line.
const QUANTITY_MAX: u32 = 1000;

/// One product and how many pieces of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub sku: Sku,
    /// Pieces, 1 to 1000.
    pub quantity: u32,
}

/// 1 to 100 lines, one per product, in the order in which the client named them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart {
    lines: Vec<Line>,
}

impl Cart {
    /// Accepts lines given as SKU text and quantity, or reports every fault of them.
    pub fn parse(lines: &[(&str, u32)]) -> Result<Self, Invalid> {
        if lines.is_empty() {
            return Err(Invalid::single("items", "REQUIRED", "must not be empty"));
        }
        if lines.len() > LINES_MAX {
            return Err(Invalid::single("items", "TOO_MANY", "must be at most 100"));
        }
        let mut validator = Validator::new();
        let mut seen = HashSet::new();
        let mut parsed = Vec::with_capacity(lines.len());
        for (at, &(sku, quantity)) in lines.iter().enumerate() {
            let fresh = seen.insert(sku);
            let field = format!("items[{at}].sku");
            validator.check(fresh, field.as_str(), "DUPLICATE", "names a product twice");
            match Sku::parse(sku, &field) {
                Ok(sku) => parsed.push(Line { sku, quantity }),
                Err(_) => validator.reject(field, "FORMAT", Sku::RULE),
            }
            let in_range = (1..=QUANTITY_MAX).contains(&quantity);
            let field = format!("items[{at}].quantity");
            validator.check(in_range, field, "OUT_OF_RANGE", "must be between 1 and 1000");
        }
        validator.finish()?;
        Ok(Self { lines: parsed })
    }

    /// The lines as the client ordered them.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The lines sorted by SKU: the one order in which stock is locked, so that two orders over the
    /// same products cannot wait for each other.
    pub fn lines_by_sku(&self) -> Vec<&Line> {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by(|a, b| a.sku.cmp(&b.sku));
        lines
    }

    /// Where the client named a product.
    pub fn position(&self, sku: &Sku) -> Option<usize> {
        self.lines.iter().position(|line| line.sku == *sku)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(lines: &[(&str, u32)]) -> Vec<(String, String)> {
        let invalid = Cart::parse(lines).unwrap_err();
        invalid.violations.into_iter().map(|found| (found.field, found.reason)).collect()
    }

    fn fault(field: &str, reason: &str) -> (String, String) {
        (field.to_owned(), reason.to_owned())
    }

    #[test]
    fn an_empty_cart_is_refused() {
        assert_eq!(faults(&[]), [fault("items", "REQUIRED")]);
    }

    #[test]
    fn every_faulty_line_is_named() {
        let found = faults(&[("TEA", 0), ("tea", 1), ("TEA", 1001)]);
        let expected = [
            fault("items[0].quantity", "OUT_OF_RANGE"),
            fault("items[1].sku", "FORMAT"),
            fault("items[2].sku", "DUPLICATE"),
            fault("items[2].quantity", "OUT_OF_RANGE"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_number_of_lines_is_bounded() {
        let skus: Vec<String> = (0..101).map(|n| format!("S{n}")).collect();
        let lines: Vec<(&str, u32)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
        assert_eq!(faults(&lines), [fault("items", "TOO_MANY")]);
        assert_eq!(Cart::parse(&lines[..100]).unwrap().lines().len(), 100);
    }

    #[test]
    fn stock_is_locked_in_sku_order() {
        let cart = Cart::parse(&[("B", 1), ("A", 2)]).unwrap();
        let skus: Vec<_> = cart.lines_by_sku().iter().map(|line| line.sku.as_str()).collect();
        assert_eq!(skus, ["A", "B"]);
        assert_eq!(cart.lines()[0].sku.as_str(), "B");
    }
}
