//! HAProxy's one-line stack trace: `[C]: in global 'error', FILE:LINE: in function line N`.
#![expect(unsafe_code, reason = "reads call frames through Lua's debug API")]

use std::ffi::{CStr, c_char};

use mlua::ffi;

/// Frames shown; deeper ones are left out.
const FRAMES_MAX: i32 = 24;

/// The frames of a state, innermost first, separated by `separator`. Empty if nothing is active.
///
/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn frames(l: *mut ffi::lua_State, separator: &str) -> String {
    let mut text = String::new();
    for level in 0..=FRAMES_MAX {
        // SAFETY: `lua_Debug` is plain data; `lua_getstack` and `lua_getinfo` fill it for a live state.
        let frame = unsafe {
            let mut frame: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(l, level, &mut frame) == 0 {
                break;
            }
            ffi::lua_getinfo(l, c"Slnt".as_ptr(), &mut frame);
            frame
        };
        if !text.is_empty() {
            text.push_str(separator);
        }
        if level == FRAMES_MAX {
            text.push_str("...");
            break;
        }
        describe(&mut text, &frame);
    }
    text
}

fn describe(text: &mut String, frame: &ffi::lua_Debug) {
    // SAFETY: `short_src` is a terminated array in the frame.
    let source = unsafe { CStr::from_ptr(frame.short_src.as_ptr()) }.to_string_lossy();
    text.push_str(&source);
    text.push_str(": ");
    if frame.currentline > 0 {
        text.truncate(text.len() - 1);
        text.push_str(&format!("{}: ", frame.currentline));
    }
    let (kind, name, what) = (str_of(frame.namewhat), str_of(frame.name), str_of(frame.what));
    if !kind.is_empty() {
        text.push_str(&format!("in {kind} '{name}'"));
    } else if what == "main" {
        text.push_str("in main chunk");
    } else if what != "C" {
        text.push_str(&format!("in function line {}", frame.linedefined));
    } else {
        text.push('?');
    }
}

fn str_of(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: Lua's strings in a frame are terminated and live while the frame is active.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
