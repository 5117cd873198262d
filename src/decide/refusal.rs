//! What to do after a launch that was refused. A table, so that no code path invents its own answer.

use super::classify::Class;

/// The next step after a refused launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This pool is out; try the next offer.
    OtherOffer,
    /// Every offer of this quota code is out.
    OtherQuota,
    /// Ask again, same token, same parameters: whatever happened, AWS then answers with the one instance.
    SameAgain,
    /// The profile is new and not visible: ask again, with more patience.
    WaitForProfile,
    /// The token's instance has ended: move the generation on and ask with the new token.
    NextGeneration,
    /// Another launch holds this slot: find it by the token and adopt it. Never make a new token for it.
    Adopt,
    /// The image has gone: say so, never guess another.
    Stop,
}

/// `profile_is_new`: this run has changed the foundation, or the instance profile is minutes old.
#[must_use]
pub fn after(class: Class, profile_is_new: bool) -> Next {
    match class {
        Class::Capacity | Class::NotOffered | Class::PriceTooLow => Next::OtherOffer,
        Class::Quota => Next::OtherQuota,
        // A lost answer may have launched: only the same token may follow it.
        Class::Network | Class::Server | Class::Throttled => Next::SameAgain,
        // "Not found": a template version or a group that was made a moment ago.
        Class::ProfileNotVisible | Class::NotFound if profile_is_new => Next::WaitForProfile,
        Class::TokenUsedUp => Next::NextGeneration,
        Class::TokenTaken => Next::Adopt,
        Class::ProfileNotVisible
        | Class::NotFound
        | Class::AlreadyExists
        | Class::InUse
        | Class::Access
        | Class::Clock
        | Class::ImageGone
        | Class::Other => Next::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_is_only_ever_followed_by_the_same_request() {
        for class in [Class::Network, Class::Server, Class::Throttled] {
            assert_eq!(after(class, true), Next::SameAgain);
            assert_eq!(after(class, false), Next::SameAgain);
        }
        for ambiguous in [Class::Network, Class::Server] {
            assert!(ambiguous.is_ambiguous());
        }
    }

    #[test]
    fn capacity_rejects_one_offer_quota_all_of_its_code_and_permission_stops() {
        assert_eq!(after(Class::Capacity, false), Next::OtherOffer);
        assert_eq!(after(Class::Quota, false), Next::OtherQuota);
        for class in [Class::Access, Class::Other, Class::ImageGone, Class::ProfileNotVisible] {
            assert_eq!(after(class, false), Next::Stop, "{class:?}");
        }
        assert_eq!(after(Class::ProfileNotVisible, true), Next::WaitForProfile);
    }
}
