use graded::graded;
use proptest::prelude::*;

use crate::heart::namespaces::{Mode, Ns, NsPlan, Wanted, plan_container, plan_exec, plan_pause};

const PAUSE: i32 = 100;

fn wanted(network: Mode, ipc: Mode, pid: Mode) -> Wanted {
    Wanted { network, ipc, pid, cgroup: false }
}

/// Containers come and go; the pause process holds what they share for as long as the pod lives.
#[graded]
fn the_pause_process_makes_what_the_pod_shares_and_a_pid_namespace_of_its_own() {
    let plan = plan_pause(&wanted(Mode::Pod, Mode::Pod, Mode::Container));
    assert_eq!(plan, NsPlan { join: vec![], create: vec![Ns::Ipc, Ns::Uts, Ns::Net, Ns::Pid, Ns::Mount] });
}

/// A host name that differs from the node's would resolve to nobody on the node's network.
#[graded]
fn a_pod_in_the_nodes_network_keeps_the_nodes_name_too() {
    let plan = plan_pause(&wanted(Mode::Node, Mode::Pod, Mode::Container));
    assert_eq!(plan.create, [Ns::Ipc, Ns::Pid, Ns::Mount]);
    let plan = plan_container(&wanted(Mode::Node, Mode::Pod, Mode::Container), PAUSE);
    assert_eq!(plan.join, [(Ns::Ipc, PAUSE)]);
}

/// One address and one host name for a pod; but a container sees its own processes and files only.
#[graded]
fn a_container_joins_the_pods_namespaces_and_has_its_own_processes_and_mounts() {
    let plan = plan_container(&wanted(Mode::Pod, Mode::Pod, Mode::Container), PAUSE);
    assert_eq!(plan.join, [(Ns::Ipc, PAUSE), (Ns::Uts, PAUSE), (Ns::Net, PAUSE)]);
    assert_eq!(plan.create, [Ns::Pid, Ns::Mount]);
}

/// `shareProcessNamespace`: all containers see each other's processes, and pause reaps what they
/// leave.
#[graded]
fn containers_of_a_pod_that_shares_processes_join_the_pause_processs_pid_namespace() {
    let plan = plan_container(&wanted(Mode::Pod, Mode::Pod, Mode::Pod), PAUSE);
    assert!(plan.join.contains(&(Ns::Pid, PAUSE)));
    assert_eq!(plan.create, [Ns::Mount]);
}

/// `kubectl debug --target`: an image without a shell is debugged from another one beside it.
#[graded]
fn a_debug_container_sees_the_processes_of_its_target() {
    let plan = plan_container(&wanted(Mode::Pod, Mode::Pod, Mode::Target(7)), PAUSE);
    assert!(plan.join.contains(&(Ns::Pid, 7)));
}

/// After it, `/proc/PID/ns` names something else, and the other namespaces could not be found any
/// more.
#[graded]
fn exec_enters_the_mount_namespace_last() {
    let plan = plan_exec(&wanted(Mode::Pod, Mode::Pod, Mode::Container), 7);
    assert_eq!(plan.join.last(), Some(&(Ns::Mount, 7)));
    assert!(plan.create.is_empty());
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Pod), Just(Mode::Container), Just(Mode::Node), Just(Mode::Target(7))]
}

fn shared() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Pod), Just(Mode::Node)]
}

proptest! {
    /// The kernel's side of it: a process is in the namespaces of its parent, save those joined or
    /// made. Whoever execs into a container must end up exactly where the container is.
    #[graded]
    fn exec_ends_up_in_the_namespaces_of_its_container(
        network in shared(), ipc in shared(), pid in mode(), cgroup: bool,
    ) {
        let wanted = Wanted { network, ipc, pid, cgroup };
        let all = [Ns::Cgroup, Ns::Ipc, Ns::Uts, Ns::Net, Ns::Pid, Ns::Mount];
        // Where a process is, by kind: 0 the node's, else the id of who made it.
        let after = |plan: &NsPlan, me: i32, world: &dyn Fn(i32, Ns) -> i32| -> Vec<i32> {
            all.iter().map(|ns| {
                let made = plan.create.contains(ns).then_some(me);
                let joined = plan.join.iter().find(|(kind, _)| kind == ns).map(|(_, pid)| world(*pid, *ns));
                assert!(made.is_none() || joined.is_none(), "{ns:?} is joined and made");
                made.or(joined).unwrap_or(0)
            }).collect()
        };
        let pause_wanted = Wanted { pid: if pid == Mode::Node { Mode::Node } else { Mode::Pod }, ..wanted.clone() };
        let pause = after(&plan_pause(&pause_wanted), PAUSE, &|_, _| 0);
        let world = |pid: i32, ns: Ns| if pid == PAUSE { pause[all.iter().position(|n| *n == ns).unwrap()] } else { pid };
        let container = after(&plan_container(&wanted, PAUSE), 5, &world);
        let world = |pid: i32, ns: Ns| {
            assert_eq!(pid, 5);
            container[all.iter().position(|n| *n == ns).unwrap()]
        };
        prop_assert_eq!(after(&plan_exec(&wanted, 5), 9, &world), container);
    }
}
