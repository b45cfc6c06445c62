//! What every [`UserStore`] must do.

use std::sync::Arc;
use std::thread;

use schemas::time::UnixMillis;
use schemas::users::{
    Digest, Entry, IngestToken, Login, LoginId, PasswordHash, RefreshDigests, Renewal, Scope, User,
    UserChange, UserName, UserRole, UserStore,
};
use uuid::Uuid;

use crate::conformance::state::TestState;

/// Makes tables that know users.
pub(crate) trait TestUsers: TestState {
    fn open_users(&self) -> Arc<dyn UserStore>;
}

/// One test for each thing that tables of users must do.
macro_rules! users_conformance {
    ($state:ty) => {
        $crate::conformance::users::users_conformance!($state:
            a_user_is_added_once_and_changed,
            a_change_that_ends_logins_ends_them_all,
            a_login_goes_on_until_it_expires_or_ends,
            a_refresh_token_is_good_once,
            of_many_who_refresh_at_once_one_is_answered,
            a_token_is_known_by_its_digest_until_it_is_revoked,
            the_log_is_read_backwards_and_forgets,
            hostile_texts_are_only_texts,
        );
    };
    ($state:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$state as $crate::conformance::state::TestState>::new() {
                    Some(state) => $crate::conformance::users::$case(&state),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use users_conformance;

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn at(seconds: i64) -> UnixMillis {
    UnixMillis::new(seconds * 1000)
}

fn user(text: &str) -> User {
    User {
        name: name(text),
        role: UserRole::Viewer,
        scope: "1,7".parse().unwrap(),
        enabled: true,
        password: PasswordHash("$argon2id$of".into()),
        generation: 1,
        created_at: at(1),
        changed_at: at(1),
    }
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

fn id(number: u128) -> LoginId {
    LoginId(Uuid::from_u128(number))
}

fn login(number: u128, of: &str) -> Login {
    Login {
        id: id(number),
        user: name(of),
        generation: 1,
        digests: RefreshDigests { login: digest(200), newest: digest(1) },
        begun_at: at(10),
        expires_at: at(100),
    }
}

fn with(newest: u8) -> RefreshDigests {
    RefreshDigests { login: digest(200), newest: digest(newest) }
}

pub(crate) fn a_user_is_added_once_and_changed(test: &impl TestUsers) {
    let store = test.open_users();
    assert_eq!(store.users().unwrap(), []);
    let anne = user("anne");
    assert!(store.add_user(&anne).unwrap());
    let other = User { role: UserRole::Admin, ..user("anne") };
    assert!(!store.add_user(&other).unwrap());
    assert!(store.add_user(&user("a.b-c_d@farm.example")).unwrap());
    assert_eq!(store.user(&name("anne")).unwrap(), Some(anne.clone()));
    assert_eq!(store.user(&name("berta")).unwrap(), None);
    let names: Vec<_> = store.users().unwrap().into_iter().map(|user| user.name).collect();
    assert_eq!(names, [name("a.b-c_d@farm.example"), name("anne")]);

    let change = |change| store.change_user(&name("anne"), &change, at(5)).unwrap();
    assert!(change(UserChange::Role(UserRole::Operator)));
    assert!(change(UserChange::Scope(Scope::All)));
    let changed =
        User { role: UserRole::Operator, scope: Scope::All, changed_at: at(5), ..anne.clone() };
    assert_eq!(store.user(&name("anne")).unwrap(), Some(changed));
    assert!(!store.change_user(&name("berta"), &UserChange::Enabled(true), at(6)).unwrap());
    // Changing to what it is already is a change as well.
    assert!(change(UserChange::Role(UserRole::Operator)));
    let reopened = test.open_users();
    assert_eq!(reopened.user(&name("anne")).unwrap().unwrap().role, UserRole::Operator);
}

pub(crate) fn a_change_that_ends_logins_ends_them_all(test: &impl TestUsers) {
    let store = test.open_users();
    for of in ["anne", "berta"] {
        store.add_user(&user(of)).unwrap();
    }
    for (number, change, generation) in [
        (1, UserChange::Password(PasswordHash("$argon2id$new".into())), 2),
        (2, UserChange::Enabled(false), 3),
    ] {
        let generation_now = store.user(&name("anne")).unwrap().unwrap().generation;
        let one = Login { generation: generation_now, ..login(number, "anne") };
        store.begin_login(&one).unwrap();
        store.begin_login(&login(10 + number, "berta")).unwrap();
        assert!(store.login(id(number), at(20)).unwrap().is_some());
        assert!(store.change_user(&name("anne"), &change, at(21)).unwrap());
        assert_eq!(store.login(id(number), at(22)).unwrap(), None, "{change:?}");
        assert!(store.login(id(10 + number), at(22)).unwrap().is_some(), "another's goes on");
        assert_eq!(store.user(&name("anne")).unwrap().unwrap().generation, generation);
    }
    // A login that began as the user was disabled does not count later either.
    store.begin_login(&Login { generation: 2, ..login(5, "anne") }).unwrap();
    assert!(store.change_user(&name("anne"), &UserChange::Enabled(true), at(30)).unwrap());
    assert_eq!(store.login(id(5), at(31)).unwrap(), None);
    let refused = store.renew_login(id(5), &with(1), &digest(2), at(31), at(200)).unwrap();
    assert_eq!(refused, Renewal::Refused);
}

pub(crate) fn a_login_goes_on_until_it_expires_or_ends(test: &impl TestUsers) {
    let store = test.open_users();
    store.add_user(&user("anne")).unwrap();
    store.begin_login(&login(1, "anne")).unwrap();
    assert_eq!(store.login(id(1), at(99)).unwrap(), Some(user("anne")));
    assert_eq!(store.login(id(1), at(100)).unwrap(), None, "it has expired");
    assert_eq!(store.login(id(2), at(20)).unwrap(), None, "there is none");
    let renewed = store.renew_login(id(1), &with(1), &digest(2), at(99), at(300)).unwrap();
    assert_eq!(renewed, Renewal::Renewed(user("anne")));
    assert!(store.login(id(1), at(299)).unwrap().is_some(), "it goes on from there");
    assert!(store.end_login(id(1)).unwrap());
    assert!(!store.end_login(id(1)).unwrap());
    assert_eq!(store.login(id(1), at(120)).unwrap(), None);
    // An expired one is forgotten by the next login, and one that goes on is not.
    store.begin_login(&login(3, "anne")).unwrap();
    store.begin_login(&Login { expires_at: at(5000), ..login(4, "anne") }).unwrap();
    let late = Login { begun_at: at(1000), expires_at: at(2000), ..login(6, "anne") };
    store.begin_login(&late).unwrap();
    assert!(!store.end_login(id(3)).unwrap());
    assert!(store.end_login(id(4)).unwrap());
}

pub(crate) fn a_refresh_token_is_good_once(test: &impl TestUsers) {
    let store = test.open_users();
    store.add_user(&user("anne")).unwrap();
    store.begin_login(&login(1, "anne")).unwrap();
    let renew = |presented: &RefreshDigests, next| {
        store.renew_login(id(1), presented, &digest(next), at(20), at(100)).unwrap()
    };
    assert_eq!(renew(&with(1), 2), Renewal::Renewed(user("anne")));
    assert_eq!(renew(&with(2), 3), Renewal::Renewed(user("anne")));
    // Who never had one of its tokens can do nothing to a login.
    let stranger = RefreshDigests { login: digest(9), newest: digest(3) };
    assert_eq!(renew(&stranger, 4), Renewal::Refused);
    assert!(store.login(id(1), at(21)).unwrap().is_some());
    assert_eq!(renew(&with(1), 4), Renewal::Reused(name("anne")));
    assert_eq!(renew(&with(3), 4), Renewal::Refused, "the newest is no longer good either");
    assert_eq!(store.login(id(1), at(21)).unwrap(), None);
}

pub(crate) fn of_many_who_refresh_at_once_one_is_answered(test: &impl TestUsers) {
    let store = test.open_users();
    store.add_user(&user("anne")).unwrap();
    store.begin_login(&login(1, "anne")).unwrap();
    let stores: Vec<_> = (0..6).map(|_| test.open_users()).collect();
    let renewed: usize = thread::scope(|scope| {
        let asked: Vec<_> = (2_u8..)
            .zip(&stores)
            .map(|(next, store)| {
                scope.spawn(move || {
                    store.renew_login(id(1), &with(1), &digest(next), at(20), at(100)).unwrap()
                })
            })
            .collect();
        let answers = asked.into_iter().map(|asked| asked.join().unwrap());
        answers.filter(|answer| matches!(answer, Renewal::Renewed(_))).count()
    });
    assert_eq!(renewed, 1);
    assert_eq!(store.login(id(1), at(21)).unwrap(), None, "the others were thieves");
}

pub(crate) fn a_token_is_known_by_its_digest_until_it_is_revoked(test: &impl TestUsers) {
    let store = test.open_users();
    let barn = IngestToken {
        name: name("barn"),
        scope: "3".parse().unwrap(),
        digest: digest(7),
        created_at: at(1),
        expires_at: None,
    };
    let pen = IngestToken {
        name: name("pen"),
        scope: Scope::All,
        digest: digest(8),
        created_at: at(2),
        expires_at: Some(at(9)),
    };
    assert!(store.add_token(&pen).unwrap());
    assert!(store.add_token(&barn).unwrap());
    assert!(!store.add_token(&IngestToken { digest: digest(9), ..barn.clone() }).unwrap());
    assert_eq!(store.tokens().unwrap(), [barn.clone(), pen.clone()]);
    assert_eq!(store.token(&digest(8)).unwrap(), Some(pen));
    assert_eq!(store.token(&digest(9)).unwrap(), None);
    assert!(store.revoke_token(&name("barn")).unwrap());
    assert!(!store.revoke_token(&name("barn")).unwrap());
    assert_eq!(store.token(&digest(7)).unwrap(), None);
}

fn entry(seconds: i64, who: &str) -> Entry {
    Entry {
        at: at(seconds),
        who: who.to_owned(),
        from: "192.0.2.1".to_owned(),
        what: "login".to_owned(),
        whom: String::new(),
        result: "ok".to_owned(),
    }
}

pub(crate) fn the_log_is_read_backwards_and_forgets(test: &impl TestUsers) {
    let store = test.open_users();
    assert_eq!(store.entries(None, 10).unwrap(), []);
    for seconds in 1..=5 {
        store.note(&entry(seconds, "anne")).unwrap();
    }
    let seconds = |found: &[(u64, Entry)]| -> Vec<i64> {
        found.iter().map(|(_, entry)| entry.at.get() / 1000).collect()
    };
    let first = store.entries(None, 2).unwrap();
    assert_eq!(seconds(&first), [5, 4]);
    let rest = store.entries(Some(first[1].0), 10).unwrap();
    assert_eq!(seconds(&rest), [3, 2, 1]);
    assert_eq!(rest[0].1, entry(3, "anne"));
    assert_eq!(store.entries(Some(u64::MAX), 1).unwrap().len(), 1);
    assert_eq!(store.forget_entries(at(4)).unwrap(), 3);
    assert_eq!(store.forget_entries(at(4)).unwrap(), 0);
    assert_eq!(seconds(&store.entries(None, 10).unwrap()), [5, 4]);
}

pub(crate) fn hostile_texts_are_only_texts(test: &impl TestUsers) {
    let store = test.open_users();
    let evil = "'; DROP TABLE users; -- \" \\ \u{0} 🐐";
    let mut hostile = entry(1, evil);
    hostile.whom = "é".repeat(300);
    hostile.result = evil.repeat(20);
    store.note(&hostile).unwrap();
    let found = store.entries(None, 1).unwrap();
    assert_eq!(found[0].1, hostile.shortened());
    assert_eq!(store.users().unwrap(), []);
}
