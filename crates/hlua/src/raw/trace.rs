//! HAProxy's one-line stack trace: `[C]: in global 'error', FILE:LINE: in function line N`.
#![expect(unsafe_code, reason = "reads call frames through Lua's debug API")]

use std::ffi::{CStr, c_char, c_int};

use mlua::ffi;

/// Frames in the one line; deeper ones are left out.
const FRAMES_MAX: usize = 24;
/// Frames in a whole trace.
const DEPTH_MAX: i32 = 64;

/// The frames of a state, innermost first. Empty if nothing is active.
///
/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn frames(l: *mut ffi::lua_State) -> Vec<String> {
    let mut frames = Vec::new();
    for level in 0..=DEPTH_MAX {
        // SAFETY: `lua_Debug` is plain data; `lua_getstack` and `lua_getinfo` fill it for a live state.
        let frame = unsafe {
            let mut frame: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getstack(l, level, &mut frame) == 0 {
                break;
            }
            ffi::lua_getinfo(l, c"Slnt".as_ptr(), &mut frame);
            frame
        };
        if level == DEPTH_MAX {
            frames.push("...".to_owned());
            break;
        }
        let mut text = String::new();
        describe(&mut text, &frame);
        frames.push(text);
    }
    frames
}

/// The frames as HAProxy logs them.
pub(super) fn one_line(frames: &[String]) -> String {
    let mut text = frames[..frames.len().min(FRAMES_MAX)].join(", ");
    if frames.len() > FRAMES_MAX {
        text.push_str(", ...");
    }
    text
}

/// What the outermost function of a state has in its parameters now, shortened.
///
/// # Safety
/// `l` is a live state on this thread.
pub(super) unsafe fn arguments(l: *mut ffi::lua_State) -> Vec<String> {
    let mut shown = Vec::new();
    // SAFETY: as in `frames`; every value that is pushed is popped, after room was made for it.
    unsafe {
        let mut outermost: ffi::lua_Debug = std::mem::zeroed();
        let Some(level) = last_level(l) else { return shown };
        if ffi::lua_checkstack(l, 4) == 0 || ffi::lua_getstack(l, level, &mut outermost) == 0 {
            return shown;
        }
        ffi::lua_getinfo(l, c"u".as_ptr(), &mut outermost);
        for n in 1..=c_int::from(outermost.nparams) {
            if ffi::lua_getlocal(l, &outermost, n).is_null() {
                break;
            }
            shown.push(value(l));
            ffi::lua_settop(l, -2);
        }
    }
    shown
}

/// The level of the outermost call; None where there is none or the stack is too deep to walk.
unsafe fn last_level(l: *mut ffi::lua_State) -> Option<c_int> {
    // SAFETY: as in `frames`; a probe only fills the struct.
    let is_active = |level| unsafe {
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        ffi::lua_getstack(l, level, &mut frame) != 0
    };
    if !is_active(0) || is_active(STACK_DEPTH_MAX) {
        return None;
    }
    let (mut active, mut beyond) = (0, STACK_DEPTH_MAX);
    while active + 1 < beyond {
        let middle = (active + beyond) / 2;
        if is_active(middle) { active = middle } else { beyond = middle }
    }
    Some(active)
}

/// The value on top, in a few words.
unsafe fn value(l: *mut ffi::lua_State) -> String {
    // SAFETY: reads the slot on top; what is pushed is popped.
    unsafe {
        match ffi::lua_type(l, -1) {
            ffi::LUA_TSTRING => {
                let mut len = 0;
                let data = ffi::lua_tolstring(l, -1, &mut len);
                quoted(std::slice::from_raw_parts(data.cast::<u8>(), len))
            }
            ffi::LUA_TNUMBER if ffi::lua_isinteger(l, -1) != 0 => ffi::lua_tointeger(l, -1).to_string(),
            ffi::LUA_TNUMBER => crate::value::float_text(ffi::lua_tonumber(l, -1)),
            ffi::LUA_TBOOLEAN => (ffi::lua_toboolean(l, -1) != 0).to_string(),
            ffi::LUA_TTABLE => class_name(l),
            other => CStr::from_ptr(ffi::lua_typename(l, other)).to_string_lossy().into_owned(),
        }
    }
}

/// The class of the table on top, or `table`.
unsafe fn class_name(l: *mut ffi::lua_State) -> String {
    // SAFETY: pushes at most two values and pops them; the key is short and interned when the VM is made.
    unsafe {
        if ffi::lua_getmetatable(l, -1) == 0 {
            return "table".to_owned();
        }
        ffi::lua_pushstring(l, c"__name".as_ptr());
        ffi::lua_rawget(l, -2);
        let is_text = ffi::lua_type(l, -1) == ffi::LUA_TSTRING;
        let name = if is_text { str_of(ffi::lua_tostring(l, -1)) } else { "table".to_owned() };
        ffi::lua_settop(l, -3);
        name
    }
}

fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let more = if shown.len() < bytes.len() { "…" } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}

/// Longer strings are cut.
const TEXT_BYTES_MAX: usize = 64;
/// Deeper stacks are not walked: each level costs as many steps as it is deep.
const STACK_DEPTH_MAX: c_int = 4096;

/// Where the function on top is defined; pops it.
///
/// # Safety
/// `l` is a live state with a value on top.
pub(super) unsafe fn place(l: *mut ffi::lua_State) -> String {
    // SAFETY: `lua_getinfo` with `>` takes the function from the stack.
    unsafe {
        if ffi::lua_type(l, -1) != ffi::LUA_TFUNCTION {
            ffi::lua_settop(l, -2);
            return String::new();
        }
        let mut frame: ffi::lua_Debug = std::mem::zeroed();
        ffi::lua_getinfo(l, c">S".as_ptr(), &mut frame);
        let source = CStr::from_ptr(frame.short_src.as_ptr()).to_string_lossy();
        if frame.linedefined > 0 { format!("{source}:{}", frame.linedefined) } else { source.into_owned() }
    }
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
