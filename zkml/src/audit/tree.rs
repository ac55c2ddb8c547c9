//! The tree over the windows of one proof, and what the world sees of it.
//!
//! Leaf `b` is `H(leaf tag, commitment, score)`, or 0 where there is padding instead of a window: no digest is 0 but with
//! negligible probability, so padding says that it is. Node `t` stands above the ids `2 t` and `2 t + 1`, where leaf `b`
//! has the id `b` and node `t` the id `leaves + t`; the last node is the root. With a power of two of leaves this is the
//! usual perfect tree, level by level. Leaves and nodes have tags of their own, and that of the nodes binds the number of
//! leaves, so that neither can be taken for the other and no path fits a tree of another shape.

use halo2_axiom::halo2curves::{
    bn256::Fr,
    ff::{Field, FromUniformBytes},
};
use hygeia_gpu_kernels::poseidon;
use sha2::{Digest, Sha256};

use crate::statement::{PublicInputs, field_from_be_bytes, field_to_be_bytes};

const LEAF_DOMAIN: &[u8] = b"hygeia/audit-leaf/v1";
const NODE_DOMAIN: &[u8] = b"hygeia/audit-node/v1";

/// What the world sees of a proved batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPublic {
    root: Fr,
    count: u32,
}

impl AuditPublic {
    /// Takes a root as a contract has it: big-endian, below the modulus. Nothing if it is not.
    pub fn new(root: [u8; 32], count: u32) -> Option<Self> {
        Some(Self { root: field_from_be_bytes(root)?, count })
    }

    /// Root of the tree, big-endian.
    pub fn root(&self) -> [u8; 32] {
        field_to_be_bytes(self.root)
    }

    /// Real windows under the root.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The circuit's public values, in order.
    pub fn instances(&self) -> [Fr; 2] {
        [self.root, Fr::from(u64::from(self.count))]
    }

    /// The same as big-endian words, as a contract takes them.
    pub fn words(&self) -> [[u8; 32]; 2] {
        self.instances().map(field_to_be_bytes)
    }
}

/// All digests of a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditTree {
    /// By id.
    digests: Vec<Fr>,
    leaves: usize,
    count: u32,
}

impl AuditTree {
    /// The tree over these windows, padded to a number of leaves.
    ///
    /// # Panics
    /// If there are more windows than leaves, or fewer than two leaves.
    pub fn new(windows: &[PublicInputs], leaves: usize) -> Self {
        let real = windows.iter().map(leaf);
        Self::of_leaves(real.chain(std::iter::repeat(Fr::ZERO)).take(leaves).collect(), windows.len())
    }

    /// The tree over leaves that were hashed elsewhere, the first `count` of which are real.
    pub(super) fn of_leaves(leaves: Vec<Fr>, count: usize) -> Self {
        let slots = leaves.len();
        assert!(slots >= 2 && count <= slots, "a plan has at least two slots, and a batch fits its plan");
        let tag = node_tag(slots);
        let mut digests = leaves;
        for node in 0..slots - 1 {
            let digest = hash_children(tag, [digests[2 * node], digests[2 * node + 1]]);
            digests.push(digest);
        }
        Self { digests, leaves: slots, count: u32::try_from(count).expect("a batch has at most 4,096 windows") }
    }

    /// What is published.
    pub fn public(&self) -> AuditPublic {
        AuditPublic { root: self.digests[self.digests.len() - 1], count: self.count }
    }

    /// Number of leaves, padding included.
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// Digests beside the path from a leaf to the root, leaf first.
    pub(super) fn siblings(&self, leaf: usize) -> Vec<Fr> {
        steps(leaf, self.leaves).map(|step| self.digests[step.sibling]).collect()
    }

    /// The children of a node, both 0 for one that is not there.
    pub(super) fn children(&self, node: Option<usize>) -> [Fr; 2] {
        node.map_or([Fr::ZERO; 2], |node| [self.digests[2 * node], self.digests[2 * node + 1]])
    }
}

/// Digest of a real window's leaf.
pub(super) fn leaf(window: &PublicInputs) -> Fr {
    poseidon::hash(leaf_tag(), &window.instances())
}

/// One step towards the root: which id lies beside, and on which side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Id of the sibling.
    pub sibling: usize,
    /// Whether the sibling is the left one.
    pub sibling_is_left: bool,
}

/// The steps from a leaf to the root of a tree with this many leaves.
pub(super) fn steps(leaf: usize, leaves: usize) -> impl Iterator<Item = Step> {
    let mut id = leaf;
    std::iter::from_fn(move || {
        if id + 2 >= 2 * leaves {
            return None;
        }
        let step = Step { sibling: id ^ 1, sibling_is_left: id % 2 == 1 };
        id = leaves + id / 2;
        Some(step)
    })
}

/// Digest of a node.
pub(super) fn hash_children(tag: Fr, children: [Fr; 2]) -> Fr {
    poseidon::hash(tag, &children)
}

/// Capacity tag of leaves.
pub(super) fn leaf_tag() -> Fr {
    tag(&[LEAF_DOMAIN])
}

/// Capacity tag of the nodes of a tree with this many leaves.
pub(super) fn node_tag(leaves: usize) -> Fr {
    tag(&[NODE_DOMAIN, &(leaves as u64).to_be_bytes()])
}

fn tag(parts: &[&[u8]]) -> Fr {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let mut wide = [0; 64];
    for (to, from) in wide.iter_mut().zip(hasher.finalize().iter().rev()) {
        *to = *from;
    }
    Fr::from_uniform_bytes(&wide)
}

/// Shows no leaf: only what is published.
impl std::fmt::Debug for AuditTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditTree").field("leaves", &self.leaves).field("public", &self.public()).finish()
    }
}
