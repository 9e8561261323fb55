//! The signatures of native functions: `"(i*~$)I"`.
//!
//! A letter for each parameter in parentheses, then one for the result, if there is one. `*` and `$` are addresses in
//! the memory of the instance, which C gets as pointers; the letters otherwise only repeat the types of the import, and
//! must fit them.

use runtime::{FuncType, ValType};

/// A parameter of a C function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    /// `i`, `I`, `f`, `F`, `r`, `V`: as it is.
    Plain(char),
    /// `*`: the address of at least one byte, or, if `~` follows, of as many as the next parameter says.
    Pointer { with_length: bool },
    /// `~`: the number of bytes of the pointer before.
    Length,
    /// `$`: the address of a string with a zero byte at its end.
    String,
}

/// What a C function takes and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(super) params: Vec<Param>,
    result: Option<char>,
}

impl Signature {
    /// Reads a signature; `None` if it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (params, result) = text.strip_prefix('(')?.split_once(')')?;
        let mut parsed: Vec<Param> = Vec::with_capacity(params.len());
        for letter in params.chars() {
            let param = match letter {
                'i' | 'I' | 'f' | 'F' | 'r' | 'V' => Param::Plain(letter),
                '*' => Param::Pointer { with_length: false },
                '$' => Param::String,
                '~' => match parsed.last_mut() {
                    Some(Param::Pointer { with_length }) => {
                        *with_length = true;
                        Param::Length
                    }
                    _ => return None,
                },
                _ => return None,
            };
            parsed.push(param);
        }
        let mut letters = result.chars();
        let result = letters.next();
        let is_plain = result.is_none_or(|letter| matches!(letter, 'i' | 'I' | 'f' | 'F' | 'r' | 'V'));
        (is_plain && letters.next().is_none()).then_some(Self { params: parsed, result })
    }

    /// What an import's type says by itself.
    pub(super) fn of(ty: &FuncType) -> Self {
        Self {
            params: ty.params().map(|ty| Param::Plain(letter(&ty))).collect(),
            result: ty.results().next().map(|ty| letter(&ty)),
        }
    }

    /// Whether a function with this signature can be what is imported with this type.
    pub(super) fn fits(&self, ty: &FuncType) -> bool {
        let param = |(param, ty): (&Param, ValType)| match param {
            Param::Plain(found) => *found == letter(&ty),
            Param::Pointer { .. } | Param::Length | Param::String => matches!(ty, ValType::I32 | ValType::I64),
        };
        self.params.len() == ty.params().len()
            && self.params.iter().zip(ty.params()).all(param)
            && ty.results().len() <= 1
            && self.result == ty.results().next().map(|ty| letter(&ty))
    }
}

fn letter(ty: &ValType) -> char {
    match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
        ValType::F32 => 'f',
        ValType::F64 => 'F',
        ValType::V128 => 'V',
        ValType::Ref(_) => 'r',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read() {
        let signature = Signature::parse("(i*~$F)I").unwrap();
        let pointer = Param::Pointer { with_length: true };
        let params = [Param::Plain('i'), pointer, Param::Length, Param::String, Param::Plain('F')];
        assert_eq!(signature, Signature { params: params.into(), result: Some('I') });
        assert_eq!(Signature::parse("()"), Some(Signature { params: Vec::new(), result: None }));
    }

    #[test]
    fn malformed_signatures_are_refused() {
        for text in ["", "i", "(i", "(x)", "(~)", "(i~)", "(i)*", "(i)ii", "(i)i "] {
            assert_eq!(Signature::parse(text), None, "{text}");
        }
    }
}
