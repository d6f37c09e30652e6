//! Giving up root for an ordinary user, for the whole process and for good (credentials(7)).

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::ffi::{CStr, CString};
use std::fs;
use std::io;

/// An account of this system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: CString,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
}

/// Why this process cannot go on as another user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such user.
    #[error("there is no user '{0}'")]
    Unknown(String),
    /// The accounts cannot be read.
    #[error("cannot look up user '{user}': {source}")]
    Lookup {
        /// Whose account was asked for.
        user: String,
        /// The system's word.
        source: io::Error,
    },
    /// Only root can.
    #[error("only root can go on as another user ('{user}'): run as root, or leave the user as it is")]
    NotRoot {
        /// Who was to be become.
        user: String,
    },
    /// A call was refused.
    #[error("cannot go on as user '{user}': {what}: {source}")]
    Refused {
        /// Who was to be become.
        user: String,
        /// Which call.
        what: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// Some privilege is left.
    #[error("cannot go on as user '{user}': {left}")]
    Kept {
        /// Who was to be become.
        user: String,
        /// What is left, and in which thread.
        left: String,
    },
}

impl User {
    /// Looks an account up by its name (getpwnam(3)).
    ///
    /// # Errors
    /// [`Error::Unknown`] when there is none, [`Error::Lookup`] when that cannot be told.
    pub fn named(name: &str) -> Result<Self, Error> {
        let unknown = || Error::Unknown(name.to_owned());
        let c_name = CString::new(name).map_err(|_| unknown())?;
        let mut buffer = vec![0_u8; 1 << 10];
        loop {
            // SAFETY: an account of zeroes is one of null pointers and numbers, which is a valid value.
            let mut account: libc::passwd = unsafe { std::mem::zeroed() };
            let mut found = std::ptr::null_mut();
            // SAFETY: the name ends with a zero byte, the buffer has the length given, and all of them outlive the call.
            let code = unsafe {
                libc::getpwnam_r(
                    c_name.as_ptr(),
                    &mut account,
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    &mut found,
                )
            };
            match code {
                0 if found.is_null() => return Err(unknown()),
                0 => return Ok(Self { name: c_name, uid: account.pw_uid, gid: account.pw_gid }),
                libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(buffer.len() * 4, 0),
                // What some name services say of a name that they do not have (getpwnam(3), ERRORS).
                libc::ENOENT | libc::ESRCH => return Err(unknown()),
                code => {
                    let source = io::Error::from_raw_os_error(code);
                    return Err(Error::Lookup { user: name.to_owned(), source });
                }
            }
        }
    }

    /// Makes every thread of this process go on as this user, with the user's groups and without any capability; there is no way
    /// back. What has been opened stays open.
    ///
    /// The calls are the C library's, which has every thread make them: the kernel's own concern one thread only. That
    /// they did is checked, thread by thread.
    ///
    /// # Errors
    /// [`Error::NotRoot`] without root's rights, [`Error::Refused`] when a call fails, [`Error::Kept`] when a privilege
    /// was left. The process may then have given up some of its rights, and is best ended.
    pub fn become_for_good(&self) -> Result<(), Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot { user: self.name() });
        }
        // SAFETY: the name ends with a zero byte and outlives the call.
        let set = unsafe { libc::initgroups(self.name.as_ptr(), self.gid) };
        self.check(set, "setgroups")?;
        let groups = self.groups();
        // SAFETY: three numbers; no memory is concerned.
        let group = unsafe { libc::setresgid(self.gid, self.gid, self.gid) };
        self.check(group, "setresgid")?;
        // SAFETY: as before. The last, as it takes the right to make the others.
        let user = unsafe { libc::setresuid(self.uid, self.uid, self.uid) };
        self.check(user, "setresuid")?;
        if self.uid != 0 {
            // What programs run by this one would inherit: a change of user leaves it (capabilities(7)). Of this thread only:
            // those that are there by now have none where [`User::prepare`] came before them, and otherwise are found below.
            let none = CapabilitySet::empty();
            let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, sets).map_err(|source| Error::Refused {
                user: self.name(),
                what: "capset",
                source: source.into(),
            })?;
        }
        match self.left(&groups) {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(Error::Kept { user: self.name(), left }),
            Err(source) => Err(Error::Refused { user: self.name(), what: "reading /proc/self/task", source }),
        }
    }

    /// Gives up what programs run by this one would inherit, in the calling thread and those that it starts from now on:
    /// a change of user leaves it (capabilities(7)), and [`Self::become_for_good`] can take it from its own thread only.
    /// So this comes before there is another one. What the thread itself may do, it still may.
    ///
    /// # Errors
    /// [`Error::Refused`] when a call fails.
    pub fn prepare(&self) -> Result<(), Error> {
        if self.uid == 0 {
            return Ok(());
        }
        let emptied = capabilities(None).and_then(|sets| {
            set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..sets })
        });
        emptied.map_err(|source| Error::Refused { user: self.name(), what: "capset", source: source.into() })
    }

    /// Whether this process is the user already, with nothing left of other rights.
    ///
    /// # Errors
    /// When `/proc/self/task` cannot be read.
    pub fn is_in_force(&self) -> io::Result<bool> {
        Ok(self.left(&self.groups())?.is_none())
    }

    fn check(&self, result: libc::c_int, what: &'static str) -> Result<(), Error> {
        if result == 0 {
            return Ok(());
        }
        Err(Error::Refused { user: self.name(), what, source: io::Error::last_os_error() })
    }

    fn name(&self) -> String {
        CStr::to_string_lossy(&self.name).into_owned()
    }

    /// The numbers of all groups the user is in (getgrouplist(3)).
    fn groups(&self) -> Vec<u32> {
        let mut groups = vec![0; 64];
        loop {
            let mut count = groups.len() as libc::c_int;
            // SAFETY: the name ends with a zero byte, and `count` groups are there to be written to.
            let found =
                unsafe { libc::getgrouplist(self.name.as_ptr(), self.gid, groups.as_mut_ptr(), &mut count) };
            // As many as there are; where that is more than fit, so many are to be asked for.
            let wanted = usize::try_from(count).unwrap_or(0);
            if found >= 0 || wanted <= groups.len() {
                groups.truncate(wanted);
                return groups;
            }
            groups.resize(wanted, 0);
        }
    }

    /// What a thread of this process still has that the user, who is in these groups, has not, if any.
    fn left(&self, groups: &[u32]) -> io::Result<Option<String>> {
        for task in fs::read_dir("/proc/self/task")? {
            let task = task?;
            match fs::read_to_string(task.path().join("status")) {
                Ok(status) => {
                    if let Some(left) = self.left_in(&status, groups) {
                        return Ok(Some(format!("thread {} has {left}", task.file_name().display())));
                    }
                }
                // A thread that has ended meanwhile.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The first line of a thread's status (proc(5)) that speaks of other users or groups, or of capabilities.
    fn left_in<'s>(&self, status: &'s str, groups: &[u32]) -> Option<&'s str> {
        let all = |values: &str, id: u32| values.split_whitespace().all(|value| value.parse() == Ok(id));
        status.lines().find(|line| match line.split_once(':') {
            // Root's capabilities are root's.
            Some(("CapPrm" | "CapEff" | "CapAmb" | "CapInh", set)) if self.uid != 0 => {
                set.trim().contains(|digit| digit != '0')
            }
            Some(("Uid", ids)) => !all(ids, self.uid),
            Some(("Gid", ids)) => !all(ids, self.gid),
            Some(("Groups", ids)) => {
                let is_theirs = |id: &str| id.parse().is_ok_and(|id| groups.contains(&id));
                !ids.split_whitespace().all(is_theirs)
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_name() {
        let root = User::named("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        for name in ["no-such-user", "", "a\0b"] {
            assert!(matches!(User::named(name), Err(Error::Unknown(_))), "{name:?}");
        }
    }

    #[test]
    fn what_is_left_is_told() {
        let user = User { name: c"someone".into(), uid: 7, gid: 8 };
        let status = |uid, gid, capabilities, groups, inherited| {
            format!(
                "Name:\twharf\nUid:\t7\t{uid}\t7\t7\nGid:\t8\t8\t{gid}\t8\nGroups:\t{groups} \n\
                 CapInh:\t{inherited}\nCapPrm:\t{capabilities}\n"
            )
        };
        let none = "0000000000000000";
        let left = |status: &str| user.left_in(status, &[8, 20]).map(str::to_owned);
        assert_eq!(left(&status(7, 8, none, "8 20", none)), None);
        assert_eq!(left(&status(7, 8, none, "", none)), None);
        assert_eq!(left(&status(0, 8, none, "8", none)).unwrap(), "Uid:\t7\t0\t7\t7");
        assert_eq!(left(&status(7, 0, none, "8", none)).unwrap(), "Gid:\t8\t8\t0\t8");
        assert_eq!(left(&status(7, 8, "0000000000002000", "8", none)).unwrap(), "CapPrm:\t0000000000002000");
        assert_eq!(left(&status(7, 8, none, "0 8 20", none)).unwrap(), "Groups:\t0 8 20 ");
        assert_eq!(left(&status(7, 8, none, "8", "0000000000002000")).unwrap(), "CapInh:\t0000000000002000");
    }

    #[test]
    fn the_users_groups_are_known() {
        assert!(User::named("root").unwrap().groups().contains(&0));
        let nobody = User::named("nobody").unwrap();
        assert!(nobody.groups().contains(&nobody.gid));
    }
}
