//! What a cgroup's path says of its container.

use proptest::prelude::*;

use super::*;

const A: &str = ID_A;
const B: &str = ID_B;

#[track_caller]
fn check(path: &str, container: &str, pod: &str, runtime: Runtime) {
    let expected = ContainerPath { container: container.into(), pod: pod.into(), runtime };
    assert_eq!(of_path(path), Some(expected), "{path}");
}

#[test]
fn every_runtime_and_driver_is_told_by_its_path() {
    use Runtime::*;
    let unit = POD.replace('-', "_");
    let md5 = "7260904bbd08e72e4dff95d9fccd2ee8";
    for (path, pod, runtime) in [
        (format!("/docker/{A}"), "", Docker),
        (format!("/system.slice/docker-{A}.scope"), "", Docker),
        (format!("/my.slice/docker-{A}.scope/init"), "", Docker),
        (format!("/lxc/101/ns/docker/{A}"), "", Docker),
        (format!("/actions_job/{A}"), "", Unknown),
        (format!("/kubepods/burstable/pod{POD}/{A}"), POD, Unknown),
        (format!("/kubepods/pod{POD}/{A}"), POD, Unknown),
        (format!("/kubepods/besteffort/pod{md5}/{A}"), md5, Unknown),
        (format!("/kubepods/besteffort/pod{POD}/crio-{A}"), POD, CriO),
        (format!("/kubepods.slice/kubepods-pod{unit}.slice/docker-{A}.scope"), POD, Docker),
        (
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{unit}.slice/cri-containerd-{A}.scope"
            ),
            POD,
            Containerd,
        ),
        (
            format!(
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{md5}.slice/crio-{A}.scope/container"
            ),
            md5,
            CriO,
        ),
        (
            format!(
                "/system.slice/containerd.service/kubepods-burstable-pod{unit}.slice:cri-containerd:{A}"
            ),
            POD,
            Containerd,
        ),
        (format!("/machine.slice/libpod-{A}.scope/container"), "", Podman),
        (
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope"),
            "",
            Podman,
        ),
        (format!("/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope"), "", Podman),
        (format!("/libpod_parent/libpod-{A}"), "", Podman),
        (format!("/libpod_parent/{B}/libpod-{A}"), "", Podman),
        (format!("/system.slice/nerdctl-{A}.scope"), "", Containerd),
        (format!("/ecs/55091c13-b8cf-4801-b527-f4601742204d/{A}"), "", Unknown),
        // Kind: the node is a container, the pod's container lies within.
        (
            format!(
                "/system.slice/docker-{B}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{unit}.slice/cri-containerd-{A}.scope"
            ),
            POD,
            Containerd,
        ),
        (format!("/docker/{B}/kubelet/kubepods/besteffort/pod{POD}/{A}"), POD, Unknown),
        // Minikube.
        (format!("/docker/{B}/kubepods/burstable/pod{POD}/{A}"), POD, Unknown),
        // Docker within a pod: still that pod's.
        (format!("/kubepods/pod{POD}/{B}/docker/{A}"), POD, Docker),
        // As seen from another cgroup namespace.
        (format!("/../cri-containerd-{A}.scope"), "", Containerd),
        (format!("/../../pod{POD}/{A}"), POD, Unknown),
    ] {
        check(&path, A, pod, runtime);
    }
}

#[test]
fn containers_without_an_id_go_by_their_name() {
    use Runtime::*;
    let task = "af0b1c2d3e4f5061728394a5b6c7d8e9";
    for (path, name, runtime) in [
        ("/lxc/web", "web", Lxc),
        ("/lxc/101/ns/system.slice/cron.service", "101", Lxc),
        ("/lxc.payload.web/init.scope", "web", Lxc),
        ("/lxc.payload/web", "web", Lxc),
        ("/machine.slice/systemd-nspawn@debian.service/payload", "debian", Nspawn),
        (r"/machine.slice/machine-my\x2dbox.scope", "my-box", Nspawn),
        (r"/machine.slice/machine-odd\x2\xzz\x0a.scope", r"odd\x2\xzz\x0a", Nspawn),
    ] {
        check(path, name, "", runtime);
    }
    let path = format!("/ecs/{task}/{task}-1234567890");
    check(&path, &format!("{task}-1234567890"), "", Unknown);
}

#[test]
fn what_is_no_container_is_none() {
    let unit = POD.replace('-', "_");
    for path in [
        String::new(),
        "/".into(),
        "/../..".into(),
        "/init.scope".into(),
        "/user.slice/user-0.slice/session-1.scope".into(),
        "/system.slice/containerd.service".into(),
        "/kubepods/burstable".into(),
        format!("/kubepods/burstable/pod{POD}"),
        format!("/kubepods.slice/kubepods-burstable-pod{unit}.slice"),
        format!("/machine.slice/libpod-conmon-{A}.scope"),
        format!("/kubepods.slice/crio-conmon-{A}.scope"),
        format!("/libpod_parent/{A}"),
        format!("/machine.slice/machine-libpod_pod_{A}.slice"),
        r"/machine.slice/machine-qemu\x2d1\x2dvm.scope".into(),
        "/lxc.monitor.web".into(),
        format!("/x/{}", &A[1..]),
        format!("/x/{A}0"),
        format!("/x/{}", A.to_uppercase()),
        format!("/x/-{A}.scope"),
        format!("/x/unknown-{A}"),
        "/lxc/two words".into(),
        format!("{}/docker/{A}", "/x".repeat(4096)),
    ] {
        assert_eq!(of_path(&path), None, "{path}");
    }
}

#[test]
fn a_process_is_in_the_container_that_any_of_its_lines_names() {
    let of = |text: &str| of_process(text.as_bytes()).map(|found| (found.container, found.pod));
    let docker = format!(
        "12:pids:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/system.slice/containerd.service\n"
    );
    assert_eq!(of(&docker), Some((A.into(), String::new())));
    let pod = format!("9:memory:/docker/{B}\n0::/kubepods/pod{POD}/{A}\n");
    assert_eq!(of(&pod), Some((A.into(), POD.into())));
    let colons = format!("0::/kubepods-pod{POD}.slice:cri-containerd:{A}\n");
    assert_eq!(of(&colons), Some((A.into(), POD.into())));
    assert_eq!(of(&format!("0::/docker/{A} (deleted)\n")), Some((A.into(), String::new())));
    for none in ["", "0::/\n", "\n\n", "::\n", "0::\n", "docker\n", &format!("0::/docker/{A}")] {
        assert_eq!(of(none), None, "{none}");
    }
    let late = format!("{}0::/docker/{A}\n", "0::/\n".repeat(path::PROCESS_BYTES_MAX));
    assert_eq!(of(&late), None, "beyond the bound nothing is looked at");
}

#[test]
fn our_own_process_is_where_the_kernel_says() {
    let text = fs::read("/proc/self/cgroup").unwrap();
    assert_eq!(of_peer(std::process::id()), of_process(&text));
    assert_eq!(of_peer(0), None);
    assert_eq!(of_peer(u32::MAX), None);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = of_process(&text);
        let _ = of_path(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_path_of_likely_parts_gives_an_id_that_stands_in_it(
        parts in proptest::collection::vec(
            prop_oneof![
                Just(A.to_owned()), Just(format!("docker-{B}.scope")), Just("docker".into()),
                Just(format!("pod{POD}")), Just("lxc".into()), Just("machine.slice".into()),
                Just("libpod_parent".into()), Just(format!("x.slice:crio:{A}")), "[ -~]{0,12}",
            ],
            0..12,
        ),
    ) {
        let path = parts.join("/");
        if let Some(found) = of_path(&path) {
            prop_assert!(!found.container.is_empty());
            prop_assert!(path.contains(&found.container) || found.runtime == Runtime::Nspawn);
            prop_assert!(found.pod.is_empty() || path.contains(&found.pod));
        }
    }
}
