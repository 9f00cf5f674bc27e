//! Truth from elsewhere: published vectors, and the reference library of Standard Webhooks.

use super::*;
use proptest::prelude::*;

const TOLERANCE: Span = Span::from_secs(300);
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn keyring(scheme: &SignatureScheme, secrets: &[&str]) -> Keyring {
    Keyring::new(scheme, secrets, TOLERANCE).unwrap()
}

fn hmac_in(header: &str, prefix: &str, base64: bool) -> SignatureScheme {
    SignatureScheme::Hmac {
        header: header.to_owned(),
        prefix: prefix.to_owned(),
        base64,
    }
}

fn every_scheme() -> [SignatureScheme; 5] {
    [
        SignatureScheme::Standard,
        SignatureScheme::Github,
        hmac_in("X-Signature", "", false),
        hmac_in("X-Signature", "hmac ", true),
        SignatureScheme::Bearer,
    ]
}

/// A secret that every scheme can use.
const ANY: &str = "C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
type Signed = Vec<(String, String)>;

const OTHER: &str = "AAFVsBQIhrscChlQIMV+b5sSYspob7oD";

#[test]
fn codes_are_those_of_rfc_4231() {
    let check = |key: &[u8], message: &[u8], expected: &str| {
        assert_eq!(hex(&hmac_sha256(key, message)), expected);
    };
    check(
        &[0x0b; 20],
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
    check(
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    check(
        &[0xaa; 20],
        &[0xdd; 50],
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    );
    check(
        &[0xaa; 131],
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
}

#[test]
fn the_vector_of_standard_webhooks_fits() {
    // From the test vectors of the Standard Webhooks libraries.
    let keyring = keyring(&SignatureScheme::Standard, &[SECRET]);
    let body = br#"{"email":"test@example.com","username":"test_user"}"#;
    let signature = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
    let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    let headers = [
        ("Webhook-Id", id),
        ("webhook-timestamp", "1649367553"),
        ("webhook-signature", signature),
    ];
    assert_eq!(keyring.verify(&headers[..], body, 1_649_367_553), Ok(()));
    let signed = keyring.sign(id, 1_649_367_553, body);
    assert_eq!(signed[2].1, signature);
}

#[test]
fn the_vector_of_github_fits() {
    // From GitHub's page on validating webhook deliveries.
    let keyring = keyring(&SignatureScheme::Github, &["It's a Secret to Everybody"]);
    let code = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = [("x-hub-signature-256", code)];
    assert_eq!(keyring.verify(&headers[..], b"Hello, World!", 0), Ok(()));
    let signed = keyring.sign("any", 0, b"Hello, World!");
    assert_eq!(signed, [("X-Hub-Signature-256".into(), code.into())]);
}

#[test]
fn the_reference_library_and_this_one_agree() {
    let theirs = standardwebhooks::Webhook::new(SECRET).unwrap();
    let ours = keyring(&SignatureScheme::Standard, &[SECRET]);
    proptest!(|(id in "[a-zA-Z0-9_]{1,40}", now in 0_i64..4_000_000_000, body in ".{0,200}")| {
        let signed = ours.sign(&id, now, body.as_bytes());
        prop_assert_eq!(&signed[2].1, &theirs.sign(&id, now, body.as_bytes()).unwrap());
    });
}

#[test]
fn what_is_signed_fits_and_nothing_else_does() {
    let now = 1_700_000_000;
    proptest!(|(body in prop::collection::vec(any::<u8>(), 0..300), flip in any::<usize>())| {
        for scheme in every_scheme() {
            let sender = keyring(&scheme, &[ANY]);
            let headers = sender.sign("delivery", now, &body);
            prop_assert_eq!(sender.verify(&headers[..], &body, now), Ok(()));
            let receiver = keyring(&scheme, &[OTHER]);
            let wrong = Err(Unverified::Wrong);
            prop_assert_eq!(receiver.verify(&headers[..], &body, now), wrong);
            if !body.is_empty() && scheme != SignatureScheme::Bearer {
                let mut other = body.clone();
                let at = flip % other.len();
                other[at] ^= 1 << (flip % 8);
                prop_assert_eq!(sender.verify(&headers[..], &other, now), wrong);
            }
        }
    });
}

#[test]
fn keys_are_rotated() {
    for scheme in every_scheme() {
        let headers = keyring(&scheme, &[ANY]).sign("delivery", 0, b"{}");
        let receiver = keyring(&scheme, &[OTHER, ANY]);
        assert_eq!(
            receiver.verify(&headers[..], b"{}", 0),
            Ok(()),
            "{scheme:?}"
        );
    }
    // A sender that rotates signs with both, and each receiver knows one of them.
    let sender = keyring(&SignatureScheme::Standard, &[ANY, OTHER]);
    let headers = sender.sign("delivery", 0, b"{}");
    for secret in [ANY, OTHER] {
        let receiver = keyring(&SignatureScheme::Standard, &[secret]);
        assert_eq!(receiver.verify(&headers[..], b"{}", 0), Ok(()));
    }
}

#[test]
fn each_way_not_to_fit_has_its_reason() {
    let standard = keyring(&SignatureScheme::Standard, &[SECRET]);
    let signed = standard.sign("msg", 1_000, b"{}");
    let check = |change: &dyn Fn(&mut Signed), now, expected| {
        let mut headers = signed.clone();
        change(&mut headers);
        assert_eq!(standard.verify(&headers[..], b"{}", now), expected);
    };
    check(&|_| {}, 1_300, Ok(()));
    check(&|_| {}, 700, Ok(()));
    check(&|_| {}, 1_301, Err(Unverified::Old));
    check(&|_| {}, 699, Err(Unverified::Future));
    check(&|_| {}, i64::MIN, Err(Unverified::Future));
    for header in 0..3 {
        let remove = move |headers: &mut Signed| drop(headers.remove(header));
        check(&remove, 1_000, Err(Unverified::Missing));
    }
    let set = |header: usize, text: &'static str| {
        move |headers: &mut Signed| text.clone_into(&mut headers[header].1)
    };
    check(&set(0, "other"), 1_000, Err(Unverified::Wrong));
    check(&set(1, "soon"), 1_000, Err(Unverified::Malformed));
    check(&set(1, "1001"), 1_000, Err(Unverified::Wrong));
    for other in [
        "",
        "v1",
        "v1,",
        "v1,AAAA",
        "v1,!",
        ", ,",
        "v1a,AAAA v2,AAAA",
    ] {
        check(&set(2, other), 1_000, Err(Unverified::Wrong));
    }
    // What is of another version is passed over, on either side of the one that fits.
    let amid = |headers: &mut Signed| {
        headers[2].1 = format!("v1a,AAAA v1,AAAA {} v9,zzz", headers[2].1);
    };
    check(&amid, 1_000, Ok(()));
    let renamed = |headers: &mut Signed| {
        headers[2].1 = headers[2].1.replacen("v1,", "v1a,", 1);
    };
    check(&renamed, 1_000, Err(Unverified::Wrong));
}

#[test]
fn a_header_of_another_form_is_malformed() {
    let check = |scheme: SignatureScheme, name: &str, value: &str, expected| {
        let keyring = keyring(&scheme, &[ANY]);
        assert_eq!(
            keyring.verify(&[(name, value)][..], b"{}", 0),
            expected,
            "{value}"
        );
    };
    let none: [(&str, &str); 0] = [];
    for scheme in every_scheme() {
        let found = keyring(&scheme, &[ANY]).verify(&none[..], b"{}", 0);
        assert_eq!(found, Err(Unverified::Missing), "{scheme:?}");
    }
    let malformed = Err(Unverified::Malformed);
    let hub = "X-Hub-Signature-256";
    check(SignatureScheme::Github, hub, "sha1=00", malformed);
    check(SignatureScheme::Github, hub, "sha256=0g", malformed);
    check(SignatureScheme::Github, hub, "sha256=0", malformed);
    check(
        SignatureScheme::Github,
        hub,
        "sha256=",
        Err(Unverified::Wrong),
    );
    let own = || hmac_in("X-Signature", "", true);
    check(own(), "x-signature", "not base64!", malformed);
    let bearer = || SignatureScheme::Bearer;
    for other in ["", "Bear", "Basic abc", "Bearerabc", "BearerB C"] {
        check(bearer(), "authorization", other, malformed);
    }
    check(bearer(), "authorization", "Bearer", malformed);
    check(
        bearer(),
        "authorization",
        "Bearer x",
        Err(Unverified::Wrong),
    );
    check(bearer(), "authorization", &format!("bearer  {ANY}"), Ok(()));
}

#[test]
fn a_secret_of_standard_webhooks_is_base64() {
    let check = |secret: &str, expected| {
        let made = Keyring::new(&SignatureScheme::Standard, &[secret], TOLERANCE);
        assert_eq!(made.map(|_| ()), expected, "{secret}");
    };
    check(SECRET, Ok(()));
    check(ANY, Ok(()));
    check("c2VjcmV0", Ok(()));
    check("c2VjcmU", Ok(()));
    for other in ["", "whsec_", "not base64", "whsec_***"] {
        check(other, Err(BadSecret));
    }
}

#[test]
fn secrets_are_never_shown() {
    for scheme in every_scheme() {
        let shown = format!("{:?}", keyring(&scheme, &[ANY]));
        assert_eq!(shown, "Keyring(1 secrets)");
    }
}
