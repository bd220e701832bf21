//! Circles in a graph whose nodes are numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// For each node, the nodes that it needs.
pub(super) type Graph = BTreeMap<usize, BTreeSet<usize>>;

/// A knot: nodes each of which needs every other, directly or through others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Knot {
    pub(super) nodes: BTreeSet<usize>,
    /// A shortest circle, from one of the knot's nodes back to itself.
    pub(super) circle: Vec<usize>,
}

/// Returns every knot of two nodes or more. A node that needs itself is not a knot.
pub(super) fn knots(graph: &Graph) -> Vec<Knot> {
    // A crate has about a hundred files. A search from each is fast enough, and shorter than Tarjan's algorithm.
    let reached: BTreeMap<usize, BTreeSet<usize>> = graph.keys().map(|node| (*node, reach(graph, *node))).collect();
    let mut seen = BTreeSet::new();
    let mut knots = Vec::new();
    for (node, others) in &reached {
        let nodes: BTreeSet<usize> =
            others.iter().copied().filter(|other| reached.get(other).is_some_and(|back| back.contains(node))).collect();
        if nodes.len() > 1 && seen.is_disjoint(&nodes) {
            let circle = nodes.iter().filter_map(|start| way_back(graph, *start)).min_by_key(Vec::len);
            knots.push(Knot { circle: circle.unwrap_or_default(), nodes: nodes.clone() });
            seen.extend(nodes);
        }
    }
    knots
}

fn reach(graph: &Graph, start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(node) = waiting.pop() {
        waiting.extend(next(graph, node).filter(|next| reached.insert(*next)));
    }
    reached
}

fn way_back(graph: &Graph, start: usize) -> Option<Vec<usize>> {
    let mut from = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(node) = waiting.pop_front() {
        for next in next(graph, node) {
            if next == start {
                let mut way = vec![start];
                let mut at = node;
                while at != start {
                    way.push(at);
                    at = from[&at];
                }
                way.push(start);
                way.reverse();
                return Some(way);
            }
            from.entry(next).or_insert_with(|| {
                waiting.push_back(next);
                node
            });
        }
    }
    None
}

/// The nodes that `node` needs, without itself.
fn next(graph: &Graph, node: usize) -> impl Iterator<Item = usize> {
    graph.get(&node).into_iter().flatten().copied().filter(move |next| *next != node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry(*from).or_default().insert(*to);
        }
        graph
    }

    #[test]
    fn a_node_that_only_leads_to_a_knot_is_not_part_of_it() {
        let found = knots(&graph(&[(0, 1), (1, 2), (2, 1), (2, 3), (3, 3)]));
        assert_eq!(found, [Knot { nodes: [1, 2].into(), circle: vec![1, 2, 1] }]);
    }

    #[test]
    fn the_shortest_way_around_a_knot_is_shown() {
        let found = knots(&graph(&[(0, 1), (1, 2), (2, 3), (3, 0), (3, 2), (7, 8), (8, 7)]));
        assert_eq!(found[0], Knot { nodes: [0, 1, 2, 3].into(), circle: vec![2, 3, 2] });
        assert_eq!(found[1].circle, [7, 8, 7]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_diamond_is_no_circle() {
        assert_eq!(knots(&graph(&[(0, 1), (0, 2), (1, 3), (2, 3)])), []);
    }
}
