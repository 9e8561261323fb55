//! Trap codes and their messages: the one table that compiler, runtime and C header share.
//!
//! Messages are those that the WebAssembly specification's test suite expects where it names one.

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// Why execution stopped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum TrapCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl TrapCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The message that users see.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)*
                }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_u32(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

traps! {
    /// The `unreachable` instruction.
    Unreachable = 1, "unreachable";
    MemoryOutOfBounds = 2, "out of bounds memory access";
    TableOutOfBounds = 3, "out of bounds table access";
    ArrayOutOfBounds = 4, "out of bounds array access";
    /// Division or remainder by zero.
    IntegerDivideByZero = 5, "integer divide by zero";
    /// `INT_MIN / -1`, or a float-to-integer conversion out of range.
    IntegerOverflow = 6, "integer overflow";
    /// Conversion of a NaN to an integer.
    InvalidConversion = 7, "invalid conversion to integer";
    /// `call_indirect` with an index outside the table.
    UndefinedElement = 8, "undefined element";
    /// `call_indirect` of a null table element.
    UninitializedElement = 9, "uninitialized element";
    IndirectCallTypeMismatch = 10, "indirect call type mismatch";
    NullReference = 11, "null reference";
    NullFunctionReference = 12, "null function reference";
    NullStructReference = 13, "null structure reference";
    NullArrayReference = 14, "null array reference";
    NullI31Reference = 15, "null i31 reference";
    NullExceptionReference = 16, "null exception reference";
    CastFailure = 17, "cast failure";
    StackOverflow = 18, "call stack exhausted";
    OutOfMemory = 19, "out of memory";
    /// An array longer than any object can be.
    AllocationTooLarge = 20, "allocation size too large";
    /// Left through an interrupt handle or a timeout.
    Interrupt = 21, "interrupt";
    /// `memory.atomic.wait` on an unshared memory.
    ExpectedSharedMemory = 22, "expected shared memory";
    UnalignedAtomic = 23, "unaligned atomic";
    /// An import that was allowed to be missing was called.
    MissingImport = 24, "call of a missing import";
    NullDescriptorReference = 25, "null descriptor reference";
    DescriptorCastFailure = 26, "descriptor cast failure";
}
