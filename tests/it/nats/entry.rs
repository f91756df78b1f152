//! Being let in, and being kept out.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use eagle_eye::transports::nats::{Answer, NatsSettings, TlsSettings};
use eagle_eye::transports::{LinkSnapshot, LinkState};
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};

use super::{Listening, Publishing, settings};
use crate::server::NatsServer;

/// The sentence with which a link is refused.
fn refusal(settings: NatsSettings) -> String {
    let sender = Publishing::start(settings, &[]);
    let refused = sender.wait("a refusal", LinkSnapshot::is_refused);
    match refused.state {
        LinkState::Refused { sentence, .. } => sentence,
        other => panic!("{other:?}"),
    }
}

fn let_in(settings: NatsSettings) {
    let sender = Publishing::start(settings.clone(), &[]).connected();
    let listener = Listening::start(settings, &["a"]).sure(&sender.publisher, "a");
    let subject: Arc<str> = Arc::from("a");
    sender.publisher.offer(&subject, Bytes::from_static(b"in"), 1);
    listener.until("in");
}

#[test]
fn a_password_lets_in_and_a_wrong_one_is_told_without_it() {
    let server = NatsServer::with("authorization { user: me, password: \"s@cret\" }");
    let with = |password: &str| NatsSettings {
        user: Some("me".into()),
        password: Some(password.into()),
        ..settings(server.url())
    };
    let_in(with("s@cret"));
    let_in(settings(format!("nats://me:s%40cret@127.0.0.1:{}", server.port)));
    for wrong in
        [with("hushhush"), settings(format!("nats://me:hushhush@127.0.0.1:{}", server.port))]
    {
        let sentence = refusal(wrong);
        assert!(sentence.contains(&server.url()), "{sentence}");
        assert!(sentence.contains("check user and password"), "{sentence}");
        assert!(!sentence.contains("hushhush"), "{sentence}");
    }
    let sentence = refusal(settings(server.url()));
    assert!(sentence.contains("wants a login"), "{sentence}");
}

#[test]
fn a_token_lets_in() {
    let server = NatsServer::with("authorization { token: \"t0ken\" }");
    let with = |token: &str| NatsSettings { token: Some(token.into()), ..settings(server.url()) };
    let_in(with("t0ken"));
    let_in(settings(format!("nats://t0ken@127.0.0.1:{}", server.port)));
    let sentence = refusal(with("hush"));
    assert!(sentence.contains("check the token") && !sentence.contains("hush"), "{sentence}");
}

#[test]
fn an_nkey_lets_in() {
    let pair = KeyPair::new_user();
    let server = NatsServer::with(&format!(
        "authorization {{ users: [ {{ nkey: {} }} ] }}",
        pair.public_key()
    ));
    let with = |pair: &KeyPair| NatsSettings {
        nkey_seed: Some(pair.seed().unwrap().as_str().into()),
        ..settings(server.url())
    };
    let_in(with(&pair));
    let stranger = KeyPair::new_user();
    let sentence = refusal(with(&stranger));
    assert!(sentence.contains("NKey"), "{sentence}");
    assert!(!sentence.contains(&stranger.seed().unwrap()), "{sentence}");
}

#[test]
fn a_credentials_file_lets_in_and_is_read_anew() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let limits = "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\
                  \"wildcards\":true,\"conn\":-1,\"leaf\":-1}";
    let operator_jwt = jwt(&operator, &operator.public_key(), "\"type\":\"operator\"");
    let account_jwt =
        jwt(&operator, &account.public_key(), &format!("{limits},\"type\":\"account\""));
    let server = NatsServer::with(&format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload {{ {}: {account_jwt} }}",
        account.public_key()
    ));
    let user = KeyPair::new_user();
    let path = server.file("user.creds");
    let with = NatsSettings { credentials_file: Some(path.clone()), ..settings(server.url()) };

    let sender = Publishing::start(with.clone(), &[]);
    let refused = sender.wait("a refusal", LinkSnapshot::is_refused);
    let shown = format!("{:?}", refused.state);
    assert!(shown.contains("user.creds") && shown.contains("cannot read"), "{shown}");

    let user_jwt = jwt(
        &account,
        &user.public_key(),
        "\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\"",
    );
    std::fs::write(
        &path,
        format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        ),
    )
    .unwrap();
    sender.connected();
    let_in(with);
}

#[test]
fn certificates_are_checked_both_ways() {
    let authority = Authority::new();
    let config = "tls { cert_file: \"FOLDER/server.crt\", key_file: \"FOLDER/server.key\", \
                  ca_file: \"FOLDER/ca.crt\", verify: true }";
    let server = NatsServer::with_files(config, |folder| {
        authority.write(folder, "server");
        authority.write(folder, "client");
        Authority::new().write(folder, "stranger");
        std::fs::write(folder.join("ca.crt"), &authority.pem).unwrap();
    });
    let with = |name: Option<&str>, ca: bool| NatsSettings {
        tls: TlsSettings {
            ca: ca.then(|| server.file("ca.crt")),
            cert: name.map(|name| server.file(&format!("{name}.crt"))),
            key: name.map(|name| server.file(&format!("{name}.key"))),
            ..TlsSettings::default()
        },
        ..settings(format!("tls://127.0.0.1:{}", server.port))
    };
    let_in(with(Some("client"), true));
    for (wrong, advice) in [
        (with(None, true), "tls.cert"),
        (with(Some("stranger"), true), "tls.cert"),
        (with(Some("client"), false), "tls.ca"),
        (with(Some("absent"), true), "cannot read tls.cert"),
    ] {
        let sentence = refusal(wrong);
        assert!(
            sentence.contains("tls://127.0.0.1") || sentence.contains("absent.crt"),
            "{sentence}"
        );
        assert!(sentence.contains(advice), "{sentence}");
    }
}

#[test]
fn an_authority_of_ones_own_and_an_early_handshake_work() {
    let authority = Authority::new();
    let config = "tls { cert_file: \"FOLDER/server.crt\", key_file: \"FOLDER/server.key\", \
                  handshake_first: true }";
    let server = NatsServer::silent(config, |folder| {
        authority.write(folder, "server");
        std::fs::write(folder.join("ca.crt"), &authority.pem).unwrap();
    });
    let_in(NatsSettings {
        tls: TlsSettings {
            required: true,
            handshake_first: true,
            ca: Some(server.file("ca.crt")),
            ..TlsSettings::default()
        },
        ..settings(server.url())
    });
}

#[test]
fn a_server_that_does_not_encrypt_is_refused_when_that_is_required() {
    let server = NatsServer::open();
    let sentence = refusal(NatsSettings {
        tls: TlsSettings { required: true, ..TlsSettings::default() },
        ..settings(server.url())
    });
    assert!(sentence.contains("encrypt"), "{sentence}");
}

#[test]
fn a_forbidden_subject_is_named_held_back_and_hinders_nothing_else() {
    let server = NatsServer::with(
        "authorization { users: [ { user: u, password: p, permissions: { \
         publish: { allow: [\"a.>\"] }, subscribe: { allow: [\"a.>\", \"_INBOX.>\"] } } } ] }",
    );
    let with = NatsSettings {
        user: Some("u".into()),
        password: Some("p".into()),
        ..settings(server.url())
    };
    let sender = Publishing::start(with.clone(), &[]).connected();
    let listener = Listening::start(with.clone(), &["a.b"]).sure(&sender.publisher, "a.b");
    let (allowed, forbidden): (Arc<str>, Arc<str>) = (Arc::from("a.b"), Arc::from("secret.x"));
    assert!(sender.publisher.offer(&forbidden, Bytes::from_static(b"no"), 1));
    let refused = sender.wait("a refusal", LinkSnapshot::is_refused);
    let shown = format!("{:?}", refused.state);
    assert!(shown.contains("secret.x") && shown.contains("permission"), "{shown}");
    assert_eq!(refused.counts.forbidden_reported, 1);
    assert!(sender.publisher.offer(&forbidden, Bytes::from_static(b"no"), 4));
    assert!(sender.publisher.offer(&allowed, Bytes::from_static(b"yes"), 1));
    listener.until("yes");
    let counts = sender.publisher.snapshot().counts;
    assert_eq!((counts.dropped_forbidden, counts.forbidden_reported), (4, 1));

    let listener = Listening::start(with.clone(), &["other"]);
    let refused = listener.wait("a refusal", LinkSnapshot::is_refused);
    assert!(format!("{:?}", refused.state).contains("other"));

    let answer = Answer { subject: "b.ask".into(), reply: Box::new(|_, _| Vec::new()) };
    let sender = Publishing::answering(with, &[], vec![answer]);
    let refused = sender.wait("a refusal", LinkSnapshot::is_refused);
    assert!(format!("{:?}", refused.state).contains("b.ask"));
}

/// Signs certificates for 127.0.0.1.
struct Authority {
    issuer: Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn write(&self, folder: &Path, name: &str) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.crt")), cert.pem()).expect("a file");
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("a file");
    }
}

/// A token in which `signer` says something of `subject`.
fn jwt(signer: &KeyPair, subject: &str, claims: &str) -> String {
    let issuer = signer.public_key();
    let body = format!(
        "{{\"jti\":\"x\",\"iat\":1700000000,\"iss\":\"{issuer}\",\"name\":\"test\",\
         \"sub\":\"{subject}\",\"nats\":{{{claims},\"version\":2}}}}"
    );
    let head = base64("{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}".as_bytes());
    let signed = format!("{head}.{}", base64(body.as_bytes()));
    let signature = base64(&signer.sign(signed.as_bytes()).expect("a signature"));
    format!("{signed}.{signature}")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three
            .iter()
            .enumerate()
            .fold(0_u32, |word, (at, byte)| word | u32::from(*byte) << (16 - 8 * at));
        for digit in 0..=three.len() {
            text.push(char::from(DIGITS[(word >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
