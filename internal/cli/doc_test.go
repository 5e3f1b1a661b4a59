// The tests of package cli play whole recycles. Most are single scenarios in a [world]: a simulated AWS, a fake API server, and
// steps that run one after the other in virtual time.
//
// The random schedules are the other kind. Their parts, one file each:
//
//   - schedule_test.go: what is drawn for one schedule: the group, how AWS behaves, pods, faults, crashes, and what others do
//   - simulation_test.go: plays a schedule in virtual time, and writes the log that a failure prints
//   - workflow_test.go: one run, as Argo would run its steps: retries, the exit handler, the buttons of the UI, and what people do
//     in the end
//   - process_test.go: one process of a step: the door through which its calls go, where faults and crashes happen
//   - actors_test.go: what others do: scale, terminate, forge, restore, protect; and a second cluster
//   - apiserver_test.go, apiclient_test.go, awswire_test.go: the servers' ends of the calls
//   - checker_test.go, invariant_test.go: the rules, which share no code with the product, checked after every call
//
// # How to read a failure
//
// rapid has shrunk it: what is printed is the smallest schedule that fails. It begins with what was drawn; what is at rest is left
// out. Then comes the log: seconds, who, what. "wf-0" is the first run and "wf-0.2" its second workflow, "wf-refused-0" a workflow for
// the same node, "someone" another hand, "aws" a change of the group or an instance with its cause, "pod" a pod. A fault stands after
// the call that it hit, behind a dash. The last lines name the rule that was broken, the moment, and what was seen: look for that
// moment in the log, and read backwards to the last step that decided something. The numbers are those of docs/reliability.md.
//
// Ask first whether the rule is right: a change that somebody else made may not count against a recycle. If it is, write the scenario
// as a single test in a world, see it fail, and mend the code; schedules that broke a rule once are kept in scenarios_test.go.
package cli_test
