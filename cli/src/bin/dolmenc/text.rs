//! WebAssembly text to binary.

use wast::Wat;
use wast::parser::{self, ParseBuffer};

/// Assembles a module of the text format.
///
/// # Errors
///
/// What is wrong with the text and in which line and column, in one line.
pub fn assemble(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("the text is not UTF-8: {error}"))?;
    let describe = |error: wast::Error| {
        let (line, column) = error.span().linecol_in(text);
        format!("invalid text: {} (at line {}, column {})", error.message(), line + 1, column + 1)
    };
    let buffer = ParseBuffer::new(text).map_err(describe)?;
    let mut wat = parser::parse::<Wat>(&buffer).map_err(describe)?;
    wat.encode().map_err(describe)
}

#[cfg(test)]
mod tests {
    use super::assemble;

    #[test]
    fn text_becomes_a_module() {
        assert_eq!(assemble(b"(module)"), Ok(b"\0asm\x01\0\0\0".to_vec()));
    }

    #[test]
    fn errors_have_a_place_and_one_line() {
        for (text, place) in [
            (&b"(module\n  (func i32.nothing))"[..], "line 2, column 9"),
            (b"(module (func (call $f)))", "line 1, column 21"),
            (b"(module", "line 1, column 8"),
            (b"(module \"", "line 1"),
        ] {
            let error = assemble(text).expect_err("a wrong text");
            assert!(error.contains(place) && !error.contains('\n'), "{error}");
        }
        assert!(assemble(b"\xff").expect_err("a wrong text").contains("UTF-8"));
    }
}
