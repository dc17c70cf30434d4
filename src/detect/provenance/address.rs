//! `provenance.address`: hosts whose addresses all serve what other addresses serve too.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, LargeStringArray};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{Batch, Key, Role, Schema, strings};
use crate::detect::trigger::WORTH_KEEPING;
use crate::error::{Error, Result};
use crate::finding::{Evidence, Family, Group, Tier};
use crate::fold::{Claim, Detect, Fold, Given, Info, Law, Need, Step};
use crate::stats::bottom_k::BottomK;
use crate::stats::counter::SeenTwice;
use crate::stats::interval::{IntervalNull, IntervalParams};
use crate::stats::multiple::tarone;

/// Hash domains of digests, addresses, hosts, and addresses together with their digest.
const DIGEST: u8 = 60;
const ADDRESS: u8 = 61;
const HOST: u8 = 62;
const SERVED: u8 = 63;
/// Addresses of a host that are looked at.
const MOST_ADDRESSES: usize = 64;
/// Bytes of a host with its addresses, estimated.
const HOST_BYTES: usize = 512;
/// Bytes of a digest with two addresses, estimated.
const DIGEST_BYTES: usize = 64;
/// Positions shown of a host.
const EXAMPLES: usize = 20;
/// Longest host name; longer ones are no names.
const LONGEST_HOST: usize = 253;
/// Share of a host's addresses that must serve shared content.
const PURITY: f64 = 0.7;
/// Least background: what a few thousand hosts do not show is not known to be rarer.
const LEAST_BACKGROUND: f64 = 0.005;
/// Level of the Tarone count and of the smallest host that could be seen.
const LEVEL: f64 = 0.0015;

#[doc = include_str!("address.md")]
pub struct Address;

static INFO: Info = Info {
    code: "provenance.address",
    family: Family::Provenance,
    summary: "a host whose addresses all serve content that other addresses serve too, as a host does that changed hands",
    needs: &[Need::Addresses],
    after: &[],
    reads: &[],
    law: Law::Exact,
    version: 1,
    claim: Claim::Group,
    fused: None,
    max_tier: Tier::Suspect,
    manual: include_str!("address.md"),
};

/// What a scan looks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum AddressBrief {
    /// Which digests may come more than once, in a filter of `2^bits` cells.
    Seek {
        /// Binary logarithm of the number of cells.
        bits: u32,
    },
    /// Which of those come from different addresses.
    Share {
        /// What the first scan saw.
        seen: SeenTwice,
        /// Most digests that are followed.
        capacity: usize,
    },
    /// How many addresses of each host serve them.
    Count {
        /// Digests that different addresses serve.
        shared: BTreeSet<u64>,
        /// Most hosts that are counted.
        capacity: usize,
    },
}

/// The addresses of one host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Host {
    /// Rows with an address of this host and a digest.
    rows: u64,
    /// Distinct pairs of address and digest, with whether other addresses serve the digest too.
    served: BottomK<bool>,
    /// The smallest positions, ascending.
    first: Vec<u64>,
}

/// What a worker has seen in a scan.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum AddressState {
    /// Digests so far.
    Seek(SeenTwice),
    /// Smallest and largest hash of the addresses of each digest that may come more than once: they differ where there are two.
    Share(BTreeMap<u64, (u64, u64)>),
    /// Hosts by hash, with their names.
    Count(BTreeMap<u64, (String, Host)>),
}

/// A host in question.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Taken {
    host: u64,
    name: String,
    rows: u64,
    addresses: u64,
    shared: u64,
    background: f64,
    p: f64,
    first: Vec<u64>,
}

/// What hosts serve.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AddressModel {
    shared: BTreeSet<u64>,
    /// Strongest first.
    taken: Vec<Taken>,
    tests: u64,
    notes: Vec<String>,
}

/// One row's hashes.
struct Seen<'a> {
    row: usize,
    host_name: &'a str,
    host: u64,
    address: u64,
    digest: u64,
}

/// The host of an address, between `://` and what follows, without user and port; `None` where there is none.
fn host(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    (!name.is_empty() && name.len() <= LONGEST_HOST).then_some(name)
}

/// Address and digest columns of a block.
struct Columns {
    addresses: LargeStringArray,
    digests: LargeStringArray,
    key: Key,
}

impl Columns {
    fn of(rows: &Batch) -> Option<Self> {
        let column = |role| rows.schema().first(role).map(|c| strings(rows.record().column(c)));
        Some(Self { addresses: column(Role::Address)?, digests: column(Role::Digest)?, key: rows.schema().key })
    }

    /// Rows that have an address with a host, and a digest.
    fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        (0..self.addresses.len()).filter_map(|row| self.row(row))
    }

    fn row(&self, row: usize) -> Option<Seen<'_>> {
        if self.addresses.is_null(row) || self.digests.is_null(row) || self.digests.value(row).is_empty() {
            return None;
        }
        let (address, digest) = (self.addresses.value(row), self.digests.value(row));
        let host_name = host(address)?;
        Some(Seen {
            row,
            host_name,
            host: self.key.bytes(HOST, host_name.to_ascii_lowercase().as_bytes()),
            address: self.key.bytes(ADDRESS, address.as_bytes()),
            digest: self.key.bytes(DIGEST, digest.to_ascii_lowercase().as_bytes()),
        })
    }
}

fn filter_bits(data: &Schema) -> u32 {
    SeenTwice::bits_for(data.rows, data.unit_bytes / 2)
}

/// Keeps the entries with the smallest keys: what left never comes back, because as many smaller ones are there.
fn keep_smallest<V>(map: &mut BTreeMap<u64, V>, capacity: usize) {
    while map.len() > capacity {
        map.pop_last();
    }
}

fn mismatch() -> Error {
    Error::Wire { code: INFO.code.to_owned(), reason: "brief and states belong to different scans".to_owned() }
}

fn null() -> IntervalNull {
    let params = IntervalParams {
        clip: (LEAST_BACKGROUND, 1.0 - LEAST_BACKGROUND),
        min_purity: PURITY,
        relaxed_purity: PURITY,
        ..IntervalParams::default()
    };
    IntervalNull::new(params).unwrap_or_default()
}

impl Host {
    fn merge(&mut self, from: Self) {
        self.rows = self.rows.saturating_add(from.rows);
        self.served.merge(from.served);
        self.first.extend(from.first);
        self.first.sort_unstable();
        self.first.truncate(EXAMPLES);
    }

    /// Addresses looked at, and those that serve shared content.
    fn counts(&self) -> (u64, u64) {
        self.served.iter().fold((0, 0), |(all, shared), (_, _, is)| (all + 1, shared + u64::from(*is)))
    }
}

/// Tests each host against what the other hosts do.
fn judge(data: &Schema, shared: BTreeSet<u64>, hosts: BTreeMap<u64, (String, Host)>, partly: bool) -> AddressModel {
    let null = null();
    let counts: BTreeMap<u64, (u64, u64)> = hosts.iter().map(|(hash, (_, host))| (*hash, host.counts())).collect();
    let (all, all_shared) = counts.values().fold((0, 0), |(c, k), (n, s)| (c + n, k + s));
    let background = |c: u64, k: u64| (all_shared - k + 1) as f64 / (all - c + 2) as f64;
    let mut attainable: Vec<f64> = counts.values().map(|&(c, k)| null.null_rate(background(c, k)).powf(c as f64)).collect();
    attainable.sort_by(f64::total_cmp);
    let tests = tarone(&attainable, LEVEL).max(1);
    let mut taken: Vec<Taken> = Vec::new();
    for (hash, (name, host)) in hosts {
        let Some(&(addresses, shared)) = counts.get(&hash) else { continue };
        let background = background(addresses, shared);
        let Some(p) = null.test(addresses, shared, background, data.rows).filter(|p| p * tests as f64 <= WORTH_KEEPING) else { continue };
        taken.push(Taken { host: hash, name, rows: host.rows, addresses, shared, background, p, first: host.first });
    }
    taken.sort_by(|a, b| a.p.total_cmp(&b.p).then(a.host.cmp(&b.host)));
    let mut notes =
        vec![format!("{} of {} hosts looked at serve content that other addresses serve too", with_shared(&counts), counts.len())];
    if let Some(least) = null.smallest_detectable(background(0, 0), LEVEL, tests) {
        notes.push(format!("would have seen a host from {least} addresses on"));
    }
    if partly {
        notes.push("not all hosts or contents fit into the memory budget; those with the smallest hashes were looked at".to_owned());
    }
    AddressModel { shared, taken, tests, notes }
}

fn with_shared(counts: &BTreeMap<u64, (u64, u64)>) -> usize {
    counts.values().filter(|(_, shared)| *shared > 0).count()
}

impl Fold for Address {
    type Brief = AddressBrief;
    type State = AddressState;
    type Model = AddressModel;

    fn info(&self) -> &'static Info {
        &INFO
    }

    fn begin(&self, data: &Schema, _: &Given) -> Result<Step<AddressBrief, AddressModel>> {
        Ok(Step::Scan(AddressBrief::Seek { bits: filter_bits(data) }))
    }

    fn open(&self, brief: &AddressBrief) -> AddressState {
        match brief {
            AddressBrief::Seek { bits } => AddressState::Seek(SeenTwice::new(*bits)),
            AddressBrief::Share { .. } => AddressState::Share(BTreeMap::new()),
            AddressBrief::Count { .. } => AddressState::Count(BTreeMap::new()),
        }
    }

    fn observe(&self, brief: &AddressBrief, state: &mut AddressState, rows: &Batch) -> Result<()> {
        let Some(columns) = Columns::of(rows) else { return Ok(()) };
        for seen in columns.seen() {
            match (brief, &mut *state) {
                (AddressBrief::Seek { .. }, AddressState::Seek(filter)) => filter.insert(seen.digest),
                (AddressBrief::Share { seen: filter, capacity }, AddressState::Share(digests)) => {
                    if filter.maybe_repeated(seen.digest) {
                        let (least, most) = digests.entry(seen.digest).or_insert((seen.address, seen.address));
                        (*least, *most) = ((*least).min(seen.address), (*most).max(seen.address));
                        keep_smallest(digests, *capacity);
                    }
                }
                (AddressBrief::Count { shared, capacity }, AddressState::Count(hosts)) => {
                    let fresh =
                        || (seen.host_name.to_ascii_lowercase(), Host { rows: 0, served: BottomK::new(MOST_ADDRESSES), first: Vec::new() });
                    let (_, host) = hosts.entry(seen.host).or_insert_with(fresh);
                    host.rows = host.rows.saturating_add(1);
                    host.served.insert(columns.key.join(SERVED, seen.address, seen.digest), shared.contains(&seen.digest));
                    let position = rows.row_position(seen.row);
                    if host.first.len() < EXAMPLES || host.first.last().is_some_and(|last| position < *last) {
                        host.first.insert(host.first.partition_point(|at| *at < position), position);
                        host.first.truncate(EXAMPLES);
                    }
                    keep_smallest(hosts, *capacity);
                }
                _ => return Err(mismatch()),
            }
        }
        Ok(())
    }

    fn merge(&self, brief: &AddressBrief, into: &mut AddressState, from: AddressState) -> Result<()> {
        match (brief, into, from) {
            (_, AddressState::Seek(filter), AddressState::Seek(other)) => filter.merge(&other).then_some(()).ok_or_else(mismatch),
            (AddressBrief::Share { capacity, .. }, AddressState::Share(digests), AddressState::Share(other)) => {
                for (digest, (least, most)) in other {
                    let (a, b) = digests.entry(digest).or_insert((least, most));
                    (*a, *b) = ((*a).min(least), (*b).max(most));
                }
                keep_smallest(digests, *capacity);
                Ok(())
            }
            (AddressBrief::Count { capacity, .. }, AddressState::Count(hosts), AddressState::Count(other)) => {
                for (hash, (name, host)) in other {
                    match hosts.get_mut(&hash) {
                        Some((_, here)) => here.merge(host),
                        None => {
                            hosts.insert(hash, (name, host));
                        }
                    }
                }
                keep_smallest(hosts, *capacity);
                Ok(())
            }
            _ => Err(mismatch()),
        }
    }

    fn close(&self, data: &Schema, _: &Given, brief: AddressBrief, state: AddressState) -> Result<Step<AddressBrief, AddressModel>> {
        match (brief, state) {
            (AddressBrief::Seek { .. }, AddressState::Seek(seen)) => {
                Ok(Step::Scan(AddressBrief::Share { seen, capacity: (data.unit_bytes / DIGEST_BYTES).max(1) }))
            }
            (AddressBrief::Share { .. }, AddressState::Share(digests)) => {
                let shared: BTreeSet<u64> = digests.into_iter().filter(|(_, (a, b))| a != b).map(|(digest, _)| digest).collect();
                if shared.is_empty() {
                    let notes = vec!["no content is served at more than one address".to_owned()];
                    return Ok(Step::Done(AddressModel { notes, ..AddressModel::default() }));
                }
                Ok(Step::Scan(AddressBrief::Count { shared, capacity: (data.unit_bytes / HOST_BYTES).max(1) }))
            }
            (AddressBrief::Count { shared, capacity }, AddressState::Count(hosts)) => {
                let partly = hosts.len() >= capacity || shared.len() >= data.unit_bytes / DIGEST_BYTES;
                Ok(Step::Done(judge(data, shared, hosts, partly)))
            }
            _ => Err(mismatch()),
        }
    }

    fn max_bytes(&self, data: &Schema) -> usize {
        (1_usize << filter_bits(data) >> 2).max(data.unit_bytes)
    }
}

impl Detect for Address {
    fn score(&self, model: &AddressModel, rows: &Batch, out: &mut [Option<f64>]) -> Result<()> {
        let Some(columns) = Columns::of(rows) else { return Ok(()) };
        for seen in columns.seen() {
            let taken = model.taken.iter().find(|taken| taken.host == seen.host);
            let strength = taken.map_or(0.0, |taken| 1.0 - taken.p.max(1e-300).log10());
            if let Some(slot) = out.get_mut(seen.row) {
                *slot = Some(strength + if model.shared.contains(&seen.digest) { 1.0 } else { 0.0 });
            }
        }
        Ok(())
    }

    fn groups(&self, model: &AddressModel) -> Vec<Group> {
        model.taken.iter().map(|taken| taken.group(model.tests)).collect()
    }

    fn members(&self, model: &AddressModel, rows: &Batch, out: &mut [Option<u32>]) -> Result<()> {
        let Some(columns) = Columns::of(rows).filter(|_| !model.taken.is_empty()) else { return Ok(()) };
        for seen in columns.seen() {
            if let Some(slot) = out.get_mut(seen.row) {
                *slot = model.taken.iter().position(|taken| taken.host == seen.host).map(|at| at as u32);
            }
        }
        Ok(())
    }

    fn explain(&self, model: &AddressModel, rows: &Batch, row: usize) -> Result<Evidence> {
        let columns = Columns::of(rows);
        let seen = columns.as_ref().and_then(|columns| columns.row(row));
        let taken = seen.as_ref().and_then(|seen| model.taken.iter().find(|taken| taken.host == seen.host));
        let (Some(seen), Some(taken)) = (seen, taken) else {
            return Ok(Evidence::new("its host serves content of its own", []));
        };
        let own = if model.shared.contains(&seen.digest) { "this one among them" } else { "though not this one" };
        let reason = format!(
            "{} of {} addresses of {} serve content that other addresses serve too, {own}; elsewhere {:.1}% do",
            taken.shared,
            taken.addresses,
            taken.name,
            100.0 * taken.background
        );
        let detail = [("host", json!(taken.name)), ("addresses", json!(taken.addresses)), ("shared", json!(taken.shared))];
        Ok(Evidence::new(reason, detail))
    }

    fn notes(&self, model: &AddressModel) -> Vec<String> {
        model.notes.clone()
    }
}

impl Taken {
    fn group(&self, tests: u64) -> Group {
        let Self { name, rows, addresses, shared, background, p, .. } = self;
        Group {
            title: format!(
                "{shared} of {addresses} addresses of {name} serve content that other addresses serve too; elsewhere {:.1}% do",
                100.0 * background
            ),
            cause: format!("host {name}"),
            attack_class: "split_view_poisoning".to_owned(),
            rows: *rows,
            agreeing: *rows,
            label: None,
            background: Some(*background),
            statistic: "addresses with shared content, interval null".to_owned(),
            value: *shared as f64,
            p: *p,
            tests,
            max_tier: Tier::Suspect,
            examples: self.first.clone(),
            evidence: [("host".to_owned(), json!(name)), ("addresses".to_owned(), json!(addresses))].into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::record_batch::RecordBatch;

    use super::*;
    use crate::fold::law::{self, Fixture};

    /// 300 hosts of 4 addresses each with contents of their own; of `taken` hosts all addresses serve one of two contents.
    fn index(taken: usize) -> RecordBatch {
        let rows = || (0..300_usize).flat_map(|host| (0..4_usize).map(move |page| (host, page)));
        let address = |(host, page)| format!("https://user@www{host}.example:8080/pictures/{page}.jpg?w=1");
        let digest = |(host, page): (usize, usize)| {
            let served = if host < taken { format!("{}", page % 2) } else { format!("{host} {page}") };
            blake3::hash(served.as_bytes()).to_hex().to_string()
        };
        let column = |f: &dyn Fn((usize, usize)) -> String| -> ArrayRef { Arc::new(rows().map(|at| Some(f(at))).collect::<StringArray>()) };
        let caption = |(host, page)| format!("a picture of thing number {host} seen from side {page}");
        RecordBatch::try_from_iter([("url", column(&address)), ("sha256", column(&digest)), ("caption", column(&caption))]).unwrap()
    }

    fn run(rows: RecordBatch) -> (AddressModel, Vec<Option<u32>>) {
        let fixture = Fixture::new(rows, None);
        let model = fixture.model(&Address);
        let members = fixture.members(&Address, &model);
        (model, members)
    }

    #[test]
    fn hosts_that_changed_hands_are_found_and_named() {
        let (model, members) = run(index(5));
        assert_eq!(model.taken.len(), 5);
        assert!((0..1_200).all(|row| members[row].is_some() == (row < 20)));
        let group = &Address.groups(&model)[0];
        assert!(group.title.starts_with("4 of 4 addresses of www"), "{}", group.title);
        assert!(group.corrected() < 1e-3, "{}", group.corrected());
    }

    #[test]
    fn an_index_with_contents_of_its_own_is_quiet() {
        let (model, members) = run(index(0));
        assert!(model.taken.is_empty() && members.iter().all(Option::is_none));
        assert_eq!(model.notes, ["no content is served at more than one address"]);
    }

    #[test]
    fn one_address_that_comes_often_shares_nothing() {
        let rows = index(0);
        let doubled = arrow::compute::concat_batches(&rows.schema(), &[rows.clone(), rows]).unwrap();
        assert!(run(doubled).0.taken.is_empty());
    }

    #[test]
    fn hosts_are_read_from_addresses() {
        for (address, expected) in [
            ("http://a.b/c", Some("a.b")),
            ("s3://bucket", Some("bucket")),
            ("https://u:p@h.example:443?x", Some("h.example")),
            ("http://[::1]:80/", Some("[::1]")),
            ("mailto:x", None),
            ("http:///x", None),
            ("", None),
        ] {
            assert_eq!(host(address), expected, "{address}");
        }
    }

    #[test]
    fn laws() {
        law::check(|| Address, &Fixture::new(index(5), None));
        law::check(|| Address, &Fixture::new(index(5), None).unit_bytes(1 << 15));
        law::survives(|| Address, |fixture| fixture);
    }
}
