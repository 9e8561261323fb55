//! Types in the notation of the text format.

use super::{
    ArrayType, ExternType, FieldType, FuncType, GlobalType, HeapType, MemoryType, RefType, StorageType, StructType,
    TableType, TagType, ValType,
};
use std::fmt::{Debug, Display, Formatter, Result};

impl Display for ValType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::F32 => f.write_str("f32"),
            Self::F64 => f.write_str("f64"),
            Self::V128 => f.write_str("v128"),
            Self::Ref(ty) => Display::fmt(ty, f),
        }
    }
}

impl Display for RefType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.is_nullable() {
            let short = match self.heap_type() {
                HeapType::Any => "anyref",
                HeapType::Eq => "eqref",
                HeapType::I31 => "i31ref",
                HeapType::Struct => "structref",
                HeapType::Array => "arrayref",
                HeapType::None => "nullref",
                HeapType::Func => "funcref",
                HeapType::NoFunc => "nullfuncref",
                HeapType::Extern => "externref",
                HeapType::NoExtern => "nullexternref",
                HeapType::Exn => "exnref",
                HeapType::NoExn => "nullexnref",
                concrete => return write!(f, "(ref null {concrete})"),
            };
            return f.write_str(short);
        }
        write!(f, "(ref {})", self.heap_type())
    }
}

impl Display for HeapType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Eq => "eq",
            Self::I31 => "i31",
            Self::Struct => "struct",
            Self::Array => "array",
            Self::None => "none",
            Self::Func => "func",
            Self::NoFunc => "nofunc",
            Self::Extern => "extern",
            Self::NoExtern => "noextern",
            Self::Exn => "exn",
            Self::NoExn => "noexn",
            Self::ConcreteStruct(ty) => return write!(f, "${}", ty.canonical()),
            Self::ConcreteArray(ty) => return write!(f, "${}", ty.canonical()),
            Self::ConcreteFunc(ty) => return write!(f, "${}", ty.canonical()),
            Self::ExactStruct(ty) => return write!(f, "(exact ${})", ty.canonical()),
            Self::ExactArray(ty) => return write!(f, "(exact ${})", ty.canonical()),
            Self::ExactFunc(ty) => return write!(f, "(exact ${})", ty.canonical()),
        })
    }
}

impl Display for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(func")?;
        write_list(f, "param", self.params())?;
        write_list(f, "result", self.results())?;
        f.write_str(")")
    }
}

impl Display for StructType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(struct")?;
        write_list(f, "field", self.fields())?;
        f.write_str(")")
    }
}

impl Display for ArrayType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "(array {})", self.element())
    }
}

impl Debug for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "${} {self}", self.canonical())
    }
}

impl Debug for StructType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "${} {self}", self.canonical())
    }
}

impl Debug for ArrayType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "${} {self}", self.canonical())
    }
}

impl Display for FieldType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.mutable { write!(f, "(mut {})", self.storage) } else { Display::fmt(&self.storage, f) }
    }
}

impl Display for StorageType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::I8 => f.write_str("i8"),
            Self::I16 => f.write_str("i16"),
            Self::Val(ty) => Display::fmt(ty, f),
        }
    }
}

impl Display for GlobalType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.is_mutable() {
            write!(f, "(global (mut {}))", self.content())
        } else {
            write!(f, "(global {})", self.content())
        }
    }
}

impl Display for TableType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(table")?;
        write_limits(f, self.is_64(), self.minimum(), self.maximum())?;
        write!(f, " {})", self.element())
    }
}

impl Display for MemoryType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(memory")?;
        write_limits(f, self.is_64(), self.minimum(), self.maximum())?;
        if self.is_shared() {
            f.write_str(" shared")?;
        }
        if self.page_bytes() != Self::new(0, None).page_bytes() {
            write!(f, " (pagesize {})", self.page_bytes())?;
        }
        f.write_str(")")
    }
}

impl Display for TagType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(tag")?;
        write_list(f, "param", self.func().params())?;
        write_list(f, "result", self.func().results())?;
        f.write_str(")")
    }
}

impl Display for ExternType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Func(ty) => Display::fmt(ty, f),
            Self::Global(ty) => Display::fmt(ty, f),
            Self::Table(ty) => Display::fmt(ty, f),
            Self::Memory(ty) => Display::fmt(ty, f),
            Self::Tag(ty) => Display::fmt(ty, f),
        }
    }
}

fn write_list(f: &mut Formatter<'_>, word: &str, mut types: impl ExactSizeIterator<Item = impl Display>) -> Result {
    if types.len() == 0 {
        return Ok(());
    }
    write!(f, " ({word}")?;
    types.try_for_each(|ty| write!(f, " {ty}"))?;
    f.write_str(")")
}

fn write_limits(f: &mut Formatter<'_>, wide: bool, min: u64, max: Option<u64>) -> Result {
    if wide {
        f.write_str(" i64")?;
    }
    write!(f, " {min}")?;
    max.map_or(Ok(()), |max| write!(f, " {max}"))
}
