//! Elements to rows: what a page says, once it is characters.

use std::fmt;
use std::str::FromStr;

use schemas::imported::Price;
use schemas::imported::price::TEXT_CHARS_MAX;
use scraper::{ElementRef, Html};
use serde::Deserialize;

use crate::config::PageConfig;

/// Rows that are read of one page.
const ROWS_MAX: usize = 10_000;

/// A CSS selector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Selector {
    css: String,
    parsed: scraper::Selector,
}

/// A text that is no CSS selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no CSS selector; one looks like \".price\" or \"td:nth-child(2)\"")]
pub struct InvalidSelector(String);

impl Selector {
    /// The selector, as it was written.
    pub fn css(&self) -> &str {
        &self.css
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Selector, InvalidSelector> {
        let parsed =
            scraper::Selector::parse(text).map_err(|_| InvalidSelector(text.to_owned()))?;
        Ok(Selector { css: text.to_owned(), parsed })
    }
}

impl TryFrom<String> for Selector {
    type Error = InvalidSelector;

    fn try_from(text: String) -> Result<Selector, InvalidSelector> {
        text.parse()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.css)
    }
}

/// What a page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    pub prices: Vec<Price>,
    /// Rows without a product, and those beyond the first ten thousand.
    pub passed_over: usize,
}

/// Reads the rows of a page where `places` says they are.
pub fn extract(html: &str, places: &PageConfig) -> Extracted {
    let page = Html::parse_document(html);
    let mut extracted = Extracted::default();
    for row in page.select(&places.row.parsed) {
        let first = |selector: &Selector| row.select(&selector.parsed).next().map(text_of);
        let product = first(&places.product).filter(|product| !product.is_empty());
        match product {
            Some(product) if extracted.prices.len() < ROWS_MAX => extracted.prices.push(Price {
                product,
                price: first(&places.price).and_then(|text| number(&text)),
                variation: first(&places.variation),
            }),
            _ => extracted.passed_over += 1,
        }
    }
    extracted
}

/// The characters in an element, as a reader sees them: blanks are one, and none at
/// the ends.
fn text_of(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    for word in element.text().flat_map(pieces) {
        match word {
            Piece::Blank if text.is_empty() || text.ends_with(' ') => {}
            Piece::Blank => text.push(' '),
            Piece::Word(word) => text.push_str(word),
        }
    }
    let text: String = text.trim_end().chars().take(TEXT_CHARS_MAX).collect();
    text
}

enum Piece<'t> {
    Blank,
    Word(&'t str),
}

/// Words, and a blank where there were any.
fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split_inclusive(char::is_whitespace).flat_map(|piece| {
        let word = piece.trim_end();
        let blank = word.len() < piece.len();
        let word = (!word.is_empty()).then_some(Piece::Word(word));
        word.into_iter().chain(blank.then_some(Piece::Blank))
    })
}

/// A number with a decimal comma or a point; none if it is anything else.
fn number(text: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = text.split_once([',', '.']).unwrap_or((text, ""));
    let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    if !digits(unsigned) || !digits(decimals) || (unsigned.is_empty() && decimals.is_empty()) {
        return None;
    }
    let number: f64 = format!("{whole}.{decimals}0").parse().ok()?;
    number.is_finite().then_some(number + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> PageConfig {
        PageConfig::at("https://market.example".parse().unwrap())
    }

    fn told(html: &str) -> String {
        let extracted = extract(html, &usual());
        let mut lines: Vec<String> = extracted
            .prices
            .iter()
            .map(|Price { product, price, variation }| {
                format!("{product:?} {price:?} {:?}", variation.as_deref().unwrap_or("-"))
            })
            .collect();
        lines.push(format!("passed over: {}", extracted.passed_over));
        lines.join("\n")
    }

    #[test]
    fn the_originals_rows_are_read() {
        let html = "<table>
            <tr class=head><td>Produit</td></tr>
            <tr class='a sta5 b'><td> +0,5&nbsp;% </td><td><a href=/x>Foin
                de <b>Crau</b></a><a>other</a></td><td><strong>1,85</strong></td></tr>
            <tr class=sta5><td></td><td><a>Paille</a></td><td><strong>n.c.</strong></td></tr>
            <tr class=sta5><td>-1 %</td><td><a>Orge &amp; bl\u{e9}</a></td><td>2,10</td></tr>
            <tr class=sta5><td>=</td><td>no link</td><td><strong>3</strong></td></tr>
            <tr class=sta5><td>=</td><td><a> </a></td><td><strong>3</strong></td></tr>
            <tr class=sta5><td>=<td><a>Unclosed<td><strong>4.25
            </table>";
        insta::assert_snapshot!(told(html), @r#"
        "Foin de Crau" Some(1.85) "+0,5 %"
        "Paille" None ""
        "Orge & blé" None "-1 %"
        "Unclosed" Some(4.25) "="
        passed over: 2
        "#);
        assert_eq!(told("<p>nothing"), "passed over: 0");
    }

    #[test]
    fn a_price_that_is_no_number_is_none() {
        for (text, price) in [
            ("1,85", Some(1.85)),
            ("1.85", Some(1.85)),
            ("12", Some(12.0)),
            ("-0,5", Some(-0.5)),
            ("+3", Some(3.0)),
            (",5", Some(0.5)),
            ("5,", Some(5.0)),
        ] {
            assert_eq!(number(text), price, "{text}");
        }
        for text in [
            "",
            ",",
            "-",
            "n.c.",
            "1,85 \u{20ac}",
            "1,234,5",
            "1.234,5",
            "NaN",
            "inf",
            "1e5",
            "0x1",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!(number(&"9".repeat(400)), None, "not finite");
    }

    #[test]
    fn a_page_of_too_many_rows_and_too_long_texts_is_cut() {
        let long = "x".repeat(1000);
        let html = format!("<div class=sta5><a>{long}</a></div>").repeat(ROWS_MAX + 5);
        let extracted = extract(&html, &usual());
        assert_eq!((extracted.prices.len(), extracted.passed_over), (ROWS_MAX, 5));
        assert_eq!(extracted.prices[0].product.len(), TEXT_CHARS_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_page_breaks_it(html in ".{0,200}", tags in "(</?(tr|td|a|table|strong)( class=sta5)?>){0,30}") {
            let _: String = told(&html);
            let _: String = told(&tags);
        }
    }
}
