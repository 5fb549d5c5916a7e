# The verbs of `cargo kit`, for those who like `just`.

# what there is
default:
    @just --list

# boot a cluster of two nodes and show it work
demo:
    cargo kit demo

# the tests, set-up included (`just test --all` is what CI runs)
test *ARGS:
    cargo kit test {{ARGS}}

# build and start the cluster
up *ARGS:
    cargo kit up {{ARGS}}

# stop the cluster and keep its state
down:
    cargo kit down

# stop the cluster and forget its state
reset:
    cargo kit reset

# what runs
status:
    cargo kit status

# a component's log, as in `just logs node-1/kubelet -f`
logs *ARGS:
    cargo kit logs {{ARGS}}

# images that the nodes see
image *ARGS:
    cargo kit image {{ARGS}}

# a shell, or a command, inside the sandbox or a node
enter *ARGS:
    cargo kit enter {{ARGS}}

# the real etcdctl, on the cluster's store
etcdctl *ARGS:
    cargo kit etcdctl {{ARGS}}

# take a node away, or bring it back: `just node stop node-2`
node *ARGS:
    cargo kit node {{ARGS}}

# the path of the administrator's kubeconfig
kubeconfig:
    @cargo kit kubeconfig

# your progress, and what comes next
progress:
    @cargo kit

# what a chapter's lab asks, as in `just lab 5`
lab *ARGS:
    cargo kit lab {{ARGS}}

# judge your answers: `just check 5.2`
check *ARGS:
    cargo kit check {{ARGS}}

# judge whenever you save
watch *ARGS:
    cargo kit watch {{ARGS}}

# help with a step
hint *ARGS:
    cargo kit hint {{ARGS}}

# put the holes of a step back
reset-step *ARGS:
    cargo kit reset-step {{ARGS}}

# the reference answer, once yours passes
solution *ARGS:
    cargo kit solution {{ARGS}}

# the book
book *ARGS:
    cargo kit book {{ARGS}}

# grade submissions
grade *ARGS:
    cargo kit grade {{ARGS}}

# write labs/ from solutions/
sync-labs *ARGS:
    cargo kit sync-labs {{ARGS}}

# prove that the labs can be solved and that their tests judge
verify-labs *ARGS:
    cargo kit verify-labs {{ARGS}}

# how many deliberate faults a chapter's suite notices
mutants *ARGS:
    cargo kit mutants {{ARGS}}

# the store beside a real etcd, in figures
bench *ARGS:
    cargo kit bench {{ARGS}}

# what this machine can run
doctor:
    cargo kit doctor

# install what is missing
setup:
    cargo kit setup
