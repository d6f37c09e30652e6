//! Filters: which frames are wanted, in the language of pcap-filter(7), run over frames here or in the kernel.

mod ast;
pub mod bpf;
mod error;
pub mod evaluate;
mod explain;
mod grammar;
mod graph;
pub mod ir;
mod lexer;
mod lower;
mod names;
mod words;

pub use error::Error;

use ast::Node;
use std::str::FromStr;

/// x
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    node: Option<Node>,
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let node = grammar::parse(text, &mut names::Names::default()).map_err(|fault| fault.within(text))?;
        Ok(Self { text: text.to_owned(), node })
    }
}

impl Filter {
    /// x
    pub fn test(&self, link_type: crate::frame::LinkType) -> Result<ir::Test, Error> {
        match &self.node {
            None => Ok(ir::Test::True),
            Some(node) => {
                lower::lower(node, link_type, lower::Site::Frames).map_err(|fault| fault.within(&self.text))
            }
        }
    }
}
