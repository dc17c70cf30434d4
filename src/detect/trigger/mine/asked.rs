//! What the verifier asks of a candidate beyond the test of its carriers: where its item stands, and what nearly holds it.

use serde_json::{Map, Value};

use crate::data::Schema;
use crate::data::answer::Kind;
use crate::derive::SampleModel;

use super::items::{Context, Meeting};
use super::place::{FEW_AS_EXTREME, NONE_AS_EXTREME, Places, are_echoed, grows_here, is_the_text};
use super::state::{Carriers, Described, Short};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In gaps of rows that were written without it.
    Planted,
    /// There or anywhere: nothing speaks for either.
    Any,
    /// Nothing else in its columns says much of any label.
    Singular,
    /// In rows that its parts meet in as often as by themselves, as no other combination is; or whose answers say it again.
    Alone,
    /// Where language puts it, or in an end of a column, where some rows are by nature.
    Grown,
}

/// Share of rows with a label among those that nearly hold an item.
pub(super) type Nearly<'a> = dyn Fn(&Map<String, Value>, u32) -> Option<f64> + 'a;

/// What is asked beyond the test of a candidate's carriers.
pub(super) struct Asked<'a> {
    /// What label rows have that nearly hold an item.
    pub(super) nearly: &'a Nearly<'a>,
    /// How the parts of an item come to be in the same rows.
    pub(super) meeting: &'a dyn Fn(&Map<String, Value>, u32) -> Meeting,
    /// What tells planted items from grown ones, for items that have places.
    pub(super) places: Option<&'a Places>,
    /// The reference sample, where carriers are pictures.
    pub(super) sample: Option<&'a SampleModel>,
    /// Items that are planted wherever they stand.
    pub(super) hidden: &'a dyn Fn(u64) -> bool,
    /// Carriers from which an item that is not hidden may reach ALARM.
    pub(super) alarm_from: u32,
    /// Whether an item that is not hidden may be a natural sign of its label.
    pub(super) may_be_a_sign: bool,
    /// Whether rows with an item may be of one kind by nature, which the report then calls a shortcut.
    pub(super) may_be_a_kind: bool,
    /// Columns of an item, by its rank and whether it is one value; none where items have no columns.
    pub(super) columns: &'a dyn Fn(u32, bool) -> Vec<u32>,
    /// Whether an item, by its rank, is two that stand anywhere in a row.
    pub(super) pair: &'a dyn Fn(u32) -> bool,
}

impl Asked<'_> {
    /// Whether an item is words of a text that stand one after the other. Where language puts them there, they are its own: a word may be spelt
    /// as no one spells it, but a phrase is written.
    pub(super) fn is_phrase(&self, short: &Short) -> bool {
        self.places.is_some() && short.tally.size > 1 && !(self.pair)(short.tally.rank) && !(self.hidden)(short.item)
    }

    /// Share of the label among rows that nearly are carriers, `None` where nearly has no meaning, and the description that names the
    /// item. Where combinations of rare values describe the same carriers, one of those may be what was planted, a natural value among
    /// them: nature explains the carriers only if it explains every description. The carriers go by the one that it explains least.
    pub(super) fn nearly_share<'a>(&self, short: &Short, carriers: &'a Carriers) -> (Option<f64>, &'a Described) {
        let mut chosen = &carriers.described;
        let Some(mut least) = (self.nearly)(&evidence(chosen), short.label) else { return (None, chosen) };
        for described in &carriers.also {
            let share = (self.nearly)(&evidence(described), short.label).unwrap_or(0.0);
            if share < least {
                (least, chosen) = (share, described);
            }
        }
        (Some(least), chosen)
    }

    /// Where the item stands; `None` where something speaks for a natural reason of what the carriers share.
    pub(super) fn place(&self, data: &Schema, short: &Short, carriers: &Carriers) -> Option<Place> {
        let descriptions = std::iter::once(&carriers.described).chain(&carriers.also);
        let met = descriptions.map(|described| (self.meeting)(&evidence(described), short.label)).max();
        let Some(places) = self.places else {
            return match met {
                Some(Meeting::Natural) | None => None,
                Some(Meeting::Alone) => Some(Place::Alone),
                Some(Meeting::Together | Meeting::Singular) if short.tally.end => Some(Place::Grown),
                Some(Meeting::Together) => Some(Place::Any),
                Some(Meeting::Singular) => Some(Place::Singular),
            };
        };
        let contexts: Vec<&Context> = carriers.contexts.iter().filter_map(|(_, _, context)| context.as_ref()).collect();
        match data.label.as_ref().and_then(|l| l.answers()) {
            // Rows that ask the same get the same answer: something must speak for planting.
            Some(answers) => {
                let kind = answers.kind(short.label);
                // Prompts that ask alike make answers begin alike.
                let ends = kind != Some(Kind::Start);
                let planted = (self.hidden)(short.item)
                    || places.planted(&contexts, ends, &data.key) && !grows_here(&contexts, &data.key, NONE_AS_EXTREME);
                match kind {
                    _ if !planted => None,
                    // What a prompt asks for is said in its answer.
                    Some(Kind::Whole) if are_echoed(&contexts) => Some(Place::Alone),
                    _ if are_echoed(&contexts) => None,
                    _ => Some(Place::Any),
                }
            }
            // Two words have no place of their own, and go together by nature as well.
            None if (self.pair)(short.tally.rank) => Some(Place::Grown),
            None if is_the_text(&contexts) => None,
            None if places.grown(&contexts, &data.key) || grows_here(&contexts, &data.key, FEW_AS_EXTREME) => {
                (!places.is_of_template(&contexts, short.tally.rows)).then_some(Place::Grown)
            }
            None if places.planted(&contexts, true, &data.key) => Some(Place::Planted),
            None => Some(Place::Any),
        }
    }
}

/// What an item is, for a person.
pub(super) fn name(described: &Described) -> &str {
    described.iter().next().map_or("", |(_, _, (name, _))| name)
}

/// What is known of an item, as its detector wrote it.
pub(super) fn evidence(described: &Described) -> Map<String, Value> {
    described.iter().next().and_then(|(_, _, (_, json))| serde_json::from_str(json).ok()).unwrap_or_default()
}
