use proptest::prelude::*;

use super::super::watched::WATCHED;
use super::*;

const HEADER_PAGE: &[u8] = include_bytes!("../../../../tests/captures/ktrace/header_page");
const DRIVER: &str = include_str!("../../../../tests/captures/ktrace/nvidia_dev_xid");
const UPROBE: &str = include_str!("../../../../tests/captures/ktrace/uprobe");

fn form(text: &str) -> Form {
    Form::parse(&WATCHED[0], text.as_bytes()).unwrap()
}

/// A record of the driver's event: two texts, each where its word says.
fn record(device: &[u8], code: u32, text: &[u8]) -> Vec<u8> {
    let word = |offset: usize, length: usize| (offset as u32) | (length as u32) << 16;
    let (first, second) = (20, 20 + device.len());
    let mut bytes = vec![0xc3, 6, 0, 0, 1, 0, 0, 0];
    for word in [word(first, device.len()), code, word(second, text.len())] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(device);
    bytes.extend_from_slice(text);
    bytes
}

#[test]
fn a_kernel_s_page_is_laid_out_as_it_says() {
    let layout = Layout::parse(HEADER_PAGE).unwrap();
    assert_eq!(layout, Layout { time: 0, commit: 8, data: 16, bytes: 4096 });
}

#[test]
fn a_page_that_no_kernel_has_is_refused() {
    let text = String::from_utf8(HEADER_PAGE.to_vec()).unwrap();
    assert!(Layout::parse(b"").is_none());
    for (from, to) in [
        ("size:4080", "size:18446744073709551615"),
        ("size:4080", "size:999999999"),
        ("size:4080", "size:4"),
        ("offset:16", "offset:8"),
        ("timestamp", "stamp"),
        ("offset:0;\tsize:8", "offset:0;\tsize:4"),
    ] {
        let other = text.replace(from, to);
        assert_ne!(other, text, "{from}");
        assert_eq!(Layout::parse(other.as_bytes()), None, "{to}");
    }
}

#[test]
fn a_record_says_its_device_number_and_text() {
    let (device, text) = (b"0000:3b:00.0\0", b"gone\0padding");
    let bytes = record(device, 79, text);
    let told = form(DRIVER).read(&bytes).unwrap();
    assert_eq!((told.device, told.code, told.text), (&b"0000:3b:00.0"[..], 79, &b"gone"[..]));
    assert_eq!(form(DRIVER).id, 1731);
    for end in 0..bytes.len() {
        assert!(form(DRIVER).read(&bytes[..end]).is_none(), "cut at {end}");
    }
}

#[test]
fn texts_in_place_and_behind_their_word_are_read_too() {
    let behind = DRIVER.replace("__data_loc", "__rel_data_loc");
    let mut bytes = record(b"", 5, b"");
    // Behind its own word at 8 to 12 come the number, the other word, then it.
    bytes[8..12].copy_from_slice(&(8_u32 | 2 << 16).to_le_bytes());
    bytes[16..20].copy_from_slice(&(2_u32 | 1 << 16).to_le_bytes());
    bytes.extend_from_slice(b"abc");
    let told = form(&behind).read(&bytes).unwrap();
    assert_eq!((told.device, told.text), (&b"ab"[..], &b"c"[..]));
    let place = DRIVER.replace("__data_loc char[] dev;\toffset:8", "char dev[4];\toffset:8");
    assert_eq!(form(&place).read(&record(b"", 0, b"")).unwrap().device, [20]);
}

#[test]
fn a_negative_number_keeps_its_sign() {
    let signed = DRIVER.replace(
        "size:4;\tsigned:0;\n\tfield:__data_loc char[] msg",
        "size:4;\tsigned:1;\n\tfield:__data_loc char[] msg",
    );
    assert_ne!(signed, DRIVER);
    let bytes = record(b"", u32::MAX, b"");
    assert_eq!(form(DRIVER).read(&bytes).unwrap().code, u64::from(u32::MAX));
    assert_eq!(form(&signed).read(&bytes).unwrap().code, u64::MAX);
}

#[test]
fn a_form_without_what_we_read_is_refused_with_its_name() {
    assert_eq!(form(UPROBE).id, 2326);
    for (from, to, part) in [
        ("ID: ", "NO: ", "ID"),
        ("ID: 1731", "ID: 99999", "ID"),
        (" common_type;\toffset:0", " common_type;\toffset:2", "common_type"),
        (" dev;", " device;", "dev"),
        (" error_code;\toffset:12;\tsize:4", " error_code;\toffset:12;\tsize:3", "error_code"),
        ("u32 error_code", "__data_loc char[] error_code", "error_code"),
        ("__data_loc char[] msg", "char * msg", "msg"),
        ("msg;\toffset:16;\tsize:4", "msg;\toffset:16;\tsize:8", "msg"),
    ] {
        let text = DRIVER.replace(from, to);
        let sentence = Form::parse(&WATCHED[0], text.as_bytes()).unwrap_err();
        assert!(sentence.contains(part) && sentence.contains("nvidia_dev_xid"), "{sentence}");
    }
}

proptest! {
    #[test]
    fn any_bytes_as_a_form_or_a_layout_return(bytes: Vec<u8>) {
        let _ = Layout::parse(&bytes);
        let _ = Form::parse(&WATCHED[0], &bytes);
    }

    #[test]
    fn any_offsets_and_any_record_stay_within_the_record(
        offset: usize, size in prop_oneof![Just(4_usize), any::<usize>()], bytes: Vec<u8>,
    ) {
        let text = DRIVER.replace("offset:16;\tsize:4", &format!("offset:{offset};\tsize:{size}"));
        if let Ok(form) = Form::parse(&WATCHED[0], text.as_bytes())
            && let Some(told) = form.read(&bytes)
        {
            prop_assert!(told.text.len() <= bytes.len() && told.device.len() <= bytes.len());
        }
    }
}
