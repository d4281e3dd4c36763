//! Descriptors that our parent process left open for us (`fd@N`).

use std::{io, os::fd::OwnedFd};

/// Another descriptor for the open file that `fd` stands for.
///
/// # Errors
/// `fd` is not open.
pub fn duplicate(fd: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd as _;
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    #[expect(unsafe_code, reason = "a number from the environment is all that fd@ gives us")]
    // SAFETY: F_DUPFD_CLOEXEC takes any number and returns an error for one that is not open; what
    // it returns is a new descriptor that nobody else owns.
    unsafe {
        match libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) {
            -1 => Err(io::Error::last_os_error()),
            new => Ok(OwnedFd::from_raw_fd(new)),
        }
    }
}
