//! What an expression asks of a frame's bytes: the form between the language and what runs it.
//!
//! Everything that depends on the link type, on how libpcap understands a primitive and on whether the program runs
//! in the kernel is settled when an expression is lowered to this form. Behind it there are arithmetic over the frame's
//! bytes and decisions, which are compiled to classic BPF, and run over parsed packets.
//!
//! Meaning, as classic BPF has it: all values are 32 bits, unsigned and wrapping. Tests are asked in order, and no
//! further than the answer needs. A load that ends beyond the captured bytes, and a division by 0, reject the frame as a
//! whole, whatever `Not` stands before; which is why a test may be left out only where its answer is known, or where nothing
//! depends on it.
//!
//! A tree is walked recursively: whoever builds it bounds its depth ([`Test::DEPTH`]). `All` and `Any` may be as long as wanted.

/// Bytes of a load, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One.
    Byte,
    /// Two.
    Half,
    /// Four.
    Word,
}

impl Width {
    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Word => 4,
        }
    }
}

/// What joins two values; shifts by more than 31 give 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Their names say it.
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    /// By 0: the frame is rejected.
    Divide,
    /// By 0: the frame is rejected.
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// What is known of a frame beside its bytes: `SKF_AD_*` in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metadata {
    /// 1 where the kernel has taken a VLAN tag out of the frame, else 0. Always 0 for the evaluator, whose frames have their
    /// tags.
    VlanTagPresent,
    /// Control information of that tag.
    VlanTag,
    /// EtherType of that tag, in network order (`SKF_AD_VLAN_TPID`).
    VlanProtocol,
    /// `PACKET_HOST` (0), `PACKET_OUTGOING` (4) and so on. For the evaluator: 4 for a frame that was sent, 0 for every other.
    PacketType,
    /// Index of the interface. For the evaluator: that of the frame's record, which is the source's own numbering.
    Interface,
    /// The EtherType the kernel goes by (`SKF_AD_PROTOCOL`). For the evaluator: 0.
    Protocol,
}

/// A name for a value that is computed once ([`Test::Let`]); unique within a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Local(pub u16);

/// A number taken of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A number.
    Constant(u32),
    /// Bytes of the frame on the wire.
    Length,
    /// The bytes at `from + at` of the frame; a sum beyond 32 bits rejects it, unless `from` is a constant: that wraps.
    Load {
        /// Start of the header, where that is not at a fixed place.
        from: Option<Box<Value>>,
        /// Offset in it.
        at: u32,
        /// How many.
        width: Width,
    },
    /// `4 * (byte & 15)` of the byte at `at`: the length of an IPv4 header that begins there (BPF's `MSH`).
    HeaderLength {
        /// Offset in the frame.
        at: u32,
    },
    /// Two values joined.
    Arithmetic(Operator, Box<Value>, Box<Value>),
    /// `0 - value`.
    Negate(Box<Value>),
    /// What is known beside the bytes.
    Metadata(Metadata),
    /// What the [`Test::Let`] around it has computed.
    Local(Local),
    /// One of two values.
    Choose {
        /// Decides.
        when: Box<Test>,
        /// If it holds.
        then: Box<Value>,
        /// If not.
        otherwise: Box<Value>,
    },
}

/// How two values are compared, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Their names say it.
pub enum Relation {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A question to a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Test {
    /// Holds.
    True,
    /// Does not.
    False,
    /// Holds if the other does not.
    Not(Box<Test>),
    /// Holds if all do; asked in order up to the first that does not. None: holds.
    All(Vec<Test>),
    /// Holds if one does; asked in order up to the first that does. None: does not hold.
    Any(Vec<Test>),
    /// Two values compared.
    Compare {
        /// One.
        left: Value,
        /// How.
        relation: Relation,
        /// The other.
        right: Value,
    },
    /// `body`, in which `local` stands for `value`.
    Let {
        /// Its name.
        local: Local,
        /// Computed before `body` is asked, or where it is used: a load in it that fails may go unnoticed if nothing uses it.
        value: Value,
        /// What is asked.
        body: Box<Test>,
    },
}

impl Value {
    /// The byte at a fixed place.
    #[must_use]
    pub const fn byte(at: u32) -> Self {
        Self::Load { from: None, at, width: Width::Byte }
    }

    /// The two bytes at a fixed place.
    #[must_use]
    pub const fn half(at: u32) -> Self {
        Self::Load { from: None, at, width: Width::Half }
    }

    /// The four bytes at a fixed place.
    #[must_use]
    pub const fn word(at: u32) -> Self {
        Self::Load { from: None, at, width: Width::Word }
    }

    /// Bytes at a place that depends on the frame.
    #[must_use]
    pub fn load(from: Self, at: u32, width: Width) -> Self {
        Self::Load { from: Some(Box::new(from)), at, width }
    }

    /// Two values joined.
    #[must_use]
    pub fn join(self, operator: Operator, other: Self) -> Self {
        Self::Arithmetic(operator, Box::new(self), Box::new(other))
    }

    /// These bits of it.
    #[must_use]
    pub fn and(self, mask: u32) -> Self {
        self.join(Operator::And, Self::Constant(mask))
    }

    /// Whether it is that.
    #[must_use]
    pub const fn is(self, constant: u32) -> Test {
        self.compare(Relation::Equal, Self::Constant(constant))
    }

    /// Whether it has any of these bits.
    #[must_use]
    pub fn has(self, mask: u32) -> Test {
        self.and(mask).compare(Relation::NotEqual, Self::Constant(0))
    }

    /// Whether it is so to the other.
    #[must_use]
    pub const fn compare(self, relation: Relation, right: Self) -> Test {
        Test::Compare { left: self, relation, right }
    }
}

impl Test {
    /// Levels of tests and values within one another that may be built.
    pub const DEPTH: usize = 1_000;

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }
}
