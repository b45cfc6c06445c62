//! Users in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::commit::StoreError;
use schemas::time::UnixMillis;
use schemas::users::{
    Digest, Entry, IngestToken, Login, LoginId, RefreshDigests, Renewal, User, UserChange,
    UserName, UserStore,
};

/// What the tables hold.
#[derive(Default)]
pub struct Kept {
    pub users: BTreeMap<UserName, User>,
    pub logins: BTreeMap<LoginId, Login>,
    pub tokens: BTreeMap<UserName, IngestToken>,
    pub log: Vec<Entry>,
    /// Answer every call with this.
    pub failure: Option<fn() -> StoreError>,
}

impl Kept {
    fn going_on(&self, id: LoginId, now: UnixMillis) -> Option<User> {
        let login = self.logins.get(&id).filter(|login| now < login.expires_at)?;
        let user = self.users.get(&login.user)?;
        (user.enabled && user.generation == login.generation).then(|| user.clone())
    }
}

#[derive(Default)]
pub struct MemoryPeople(Mutex<Kept>);

impl MemoryPeople {
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Result<MutexGuard<'_, Kept>, StoreError> {
        let kept = self.kept();
        match kept.failure {
            Some(failure) => Err(failure()),
            None => Ok(kept),
        }
    }
}

impl UserStore for MemoryPeople {
    fn add_user(&self, user: &User) -> Result<bool, StoreError> {
        let mut kept = self.seen()?;
        if kept.users.contains_key(&user.name) {
            return Ok(false);
        }
        kept.users.insert(user.name.clone(), user.clone());
        Ok(true)
    }

    fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        Ok(self.seen()?.users.get(name).cloned())
    }

    fn users(&self) -> Result<Vec<User>, StoreError> {
        Ok(self.seen()?.users.values().cloned().collect())
    }

    fn change_user(
        &self,
        name: &UserName,
        change: &UserChange,
        at: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut kept = self.seen()?;
        let Some(user) = kept.users.get_mut(name) else { return Ok(false) };
        user.changed_at = at;
        match change.clone() {
            UserChange::Password(hash) => user.password = hash,
            UserChange::Enabled(enabled) => user.enabled = enabled,
            UserChange::Role(role) => user.role = role,
            UserChange::Scope(scope) => user.scope = scope,
        }
        if change.ends_logins() {
            user.generation += 1;
            kept.logins.retain(|_, login| login.user != *name);
        }
        Ok(true)
    }

    fn begin_login(&self, login: &Login) -> Result<(), StoreError> {
        self.seen()?.logins.insert(login.id, login.clone());
        Ok(())
    }

    fn login(&self, id: LoginId, now: UnixMillis) -> Result<Option<User>, StoreError> {
        Ok(self.seen()?.going_on(id, now))
    }

    fn renew_login(
        &self,
        id: LoginId,
        presented: &RefreshDigests,
        next: &Digest,
        now: UnixMillis,
        expires_at: UnixMillis,
    ) -> Result<Renewal, StoreError> {
        let mut kept = self.seen()?;
        let Some(user) = kept.going_on(id, now) else { return Ok(Renewal::Refused) };
        let Some(login) = kept.logins.get_mut(&id) else { return Ok(Renewal::Refused) };
        if login.digests.login != presented.login {
            return Ok(Renewal::Refused);
        }
        if login.digests.newest != presented.newest {
            kept.logins.remove(&id);
            return Ok(Renewal::Reused(user.name));
        }
        login.digests.newest = *next;
        login.expires_at = expires_at;
        Ok(Renewal::Renewed(user))
    }

    fn end_login(&self, id: LoginId) -> Result<bool, StoreError> {
        Ok(self.seen()?.logins.remove(&id).is_some())
    }

    fn add_token(&self, token: &IngestToken) -> Result<bool, StoreError> {
        let mut kept = self.seen()?;
        if kept.tokens.contains_key(&token.name) {
            return Ok(false);
        }
        kept.tokens.insert(token.name.clone(), token.clone());
        Ok(true)
    }

    fn token(&self, digest: &Digest) -> Result<Option<IngestToken>, StoreError> {
        Ok(self.seen()?.tokens.values().find(|token| token.digest == *digest).cloned())
    }

    fn tokens(&self) -> Result<Vec<IngestToken>, StoreError> {
        Ok(self.seen()?.tokens.values().cloned().collect())
    }

    fn revoke_token(&self, name: &UserName) -> Result<bool, StoreError> {
        Ok(self.seen()?.tokens.remove(name).is_some())
    }

    fn note(&self, entry: &Entry) -> Result<(), StoreError> {
        self.seen()?.log.push(entry.clone().shortened());
        Ok(())
    }

    fn entries(&self, before: Option<u64>, limit: u32) -> Result<Vec<(u64, Entry)>, StoreError> {
        let kept = self.seen()?;
        let numbered = (1_u64..).zip(kept.log.iter().cloned());
        let mut found: Vec<_> =
            numbered.filter(|(id, _)| before.is_none_or(|before| *id < before)).collect();
        found.reverse();
        found.truncate(limit.try_into().unwrap());
        Ok(found)
    }

    fn forget_entries(&self, moment: UnixMillis) -> Result<u64, StoreError> {
        let mut kept = self.seen()?;
        let before = kept.log.len();
        kept.log.retain(|entry| moment <= entry.at);
        Ok((before - kept.log.len()).try_into().unwrap())
    }
}
