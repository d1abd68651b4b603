//! After the same change, every node has the same membership.

use std::collections::BTreeMap;

use tinykv_raft::{Entry, Index};

use super::super::member::Member;
use super::Check;

#[derive(Default)]
pub(super) struct MembershipAgreement {
    memberships: BTreeMap<Index, String>,
}

impl MembershipAgreement {
    pub(super) fn check(&mut self, member: &Member, entry: &Entry) -> Check {
        let now = member.disk.machine.membership.to_string();
        let known = self.memberships.entry(entry.index).or_insert_with(|| now.clone());
        match *known == now {
            true => Ok(()),
            false => Err(format!(
                "membership: after {} node {} has {now}, another had {known}",
                entry.index, member.id
            )),
        }
    }
}
