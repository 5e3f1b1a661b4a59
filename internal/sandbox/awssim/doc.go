// Package awssim plays the part of AWS that recycling a node touches: an HTTP
// server that speaks the wire protocols of Auto Scaling, EC2 and STS
// (Query/XML), of EKS DescribeCluster (REST-JSON) and of SQS and
// EventBridge (JSON) on one endpoint, so that unmodified SDKs and the AWS CLI work against it through
// AWS_ENDPOINT_URL.
//
// Behind the protocols is a state machine: groups launch, replace and scale in
// instances with latencies, refuse what AWS refuses with AWS's own codes and
// messages, and, given a Kubernetes client, make and remove kwok Nodes as the
// instances come and go. Where no source settles what AWS does, a switch in
// [Config] plays either answer.
//
// It does not check request signatures (only the scope of the credential),
// does not evaluate IAM policies (the call log holds what is needed to do so),
// and has no launch configurations, load balancers or networks: their names are
// accepted and shown again. Of a launch template's data it knows image and
// instance type; a group may also name a template that was never created, whose
// $Latest and $Default are then the setting launchTemplateLatest. It imports no other package of this project, so
// that a constant shared with the product cannot hide a shared mistake.
//
// All time goes through package time, and a [Sim] made inside a testing/synctest
// bubble runs in virtual time. Nothing moves by itself before [Sim.Start].
//
// # Control API
//
// JSON under /_sim/, no credentials:
//
//	GET    /_sim/calls?since=N               the ordered call log after sequence number N
//	DELETE /_sim/calls                       empties it (numbers go on)
//	GET    /_sim/events?since=N              every change of lifecycle, instance state, sizes, processes,
//	                                         refreshes and Nodes, with its cause and the call that began it
//	GET    /_sim/state                       groups, instances, activities and faults in wait
//	GET    /_sim/config                      the settings in force
//	PUT    /_sim/config                      changes the settings named: {"boot":"5s","detachFromStandby":"refuse"}
//	PUT    /_sim/groups/{name}/config        the settings that a group has for itself, in the place of those it had: {"boot":"1s",
//	                                         "launchFailure":"InsufficientInstanceCapacity"}; also before it is created
//	GET    /_sim/faults                      the faults in wait
//	POST   /_sim/faults                      one fault or a list: {"service":"ec2","action":"StopInstances","count":2,
//	                                         "kind":"error-after","code":"InternalError","status":500}
//	DELETE /_sim/faults                      forgets them
//	POST   /_sim/instances                   an instance of no group: {"tags":{},"nodeLabels":{},"joinsCluster":true}
//	PATCH  /_sim/instances/{id}              {"rootDeviceType":"instance-store","lifecycle":"spot","disableApiTermination":true,
//	                                         "disableApiStop":true,"volumes":[{"size":50,"deleteOnTermination":false}]}, which adds volumes;
//	                                         {"launchTime":"2026-03-14T12:00:00Z"}
//	POST   /_sim/instances/{id}/terminate    as by a hand outside; also /stop, /start; not in the call log
//	POST   /_sim/instances/{id}/leave        its Node goes while it runs: {"nodeLeaves":"not-ready"} or "deleted"
//	POST   /_sim/instances/{id}/rejoin       its Node deleted and registered anew: same name, another UID, nothing kept
//	POST   /_sim/groups/{name}/azrebalance   moves one instance to the emptiest zone
//	POST   /_sim/instances/{id}/spot-interruption         warns now, and takes the spot instance after spotNotice
//	POST   /_sim/instances/{id}/rebalance-recommendation  says that a spot instance is at risk; a group
//	                                         with Capacity Rebalancing replaces it
//	POST   /_sim/instances/{id}/scheduled-event           {"code":"instance-retirement","description":"…","notBefore":"…"}: what
//	                                         DescribeInstanceStatus shows then; [Completed] before the description ends it
//	POST   /_sim/alarms                      {"name":"hot","state":"ALARM","previousState":"OK","instanceId":"i-…","via":"eventbridge"};
//	                                         or "asgName"; "via":"sns" or "sns-raw" with "queue" and perhaps "topicArn"; "time"
//	POST   /_sim/events                      an event of EventBridge, put on the bus as it is; answers with what the rules did with it
//	PUT    /_sim/stacks/{name}               {"template":"…","parameters":{}}: makes what a CloudFormation template holds of queues,
//	                                         queue policies, rules and lifecycle hooks; answers with names, outputs and IAM policies
//	GET    /_sim/queues/{name}               every message that the queue has held, with its fate
//	POST   /_sim/tokenreview                 a TokenReview webhook for EKS tokens (k8s-aws-v1.…)
//
// Queues are standard queues of SQS without message attributes and delays. A
// message moves to the dead-letter queue at the receive after the last that
// the redrive policy allows, and counts its receives anew there.
//
// The default event bus carries the events EC2 Instance-launch and -terminate
// Lifecycle Action, EC2 Spot Instance Interruption Warning, EC2 Instance
// Rebalance Recommendation and CloudWatch Alarm State Change, as AWS documents
// them, to the queues that are targets of matching rules. A queue takes from
// EventBridge and SNS only what its policy lets in; who calls SendMessage is
// not asked. A lifecycle hook with a queue as its notification target sends
// there in its own form.
//
// A lifecycle action shows in /_sim/events as kind hook, from its deadline on,
// each heartbeat as kind heartbeat, from one deadline to the next, and its end
// as kind hook again, from the deadline to the result.
//
// Kinds of faults: error-before (refused, nothing done), error-after (done,
// and yet answered with an error), drop-before and drop-after (connection
// closed), delay. They are consumed in the order in which they were given.
//
// The settings faultRate and faultKinds hit calls at random, by a seeded
// sequence: {"faultRate":0.05,"faultKinds":["throttling","drop-after"]}. Beside
// the kinds above there are throttling, scaling-activity
// (ScalingActivityInProgress), contention (ResourceContention) and
// resource-in-use (ResourceInUse); only those that the call can meet are drawn,
// and none of them lasts. The setting staleReads has Describe* answer with what
// was true up to that long ago.
//
// Each instance has a root volume of rootVolumeSize GiB, which goes when it is
// terminated; DescribeVolumes shows it and those added. Volumes that stay after
// a termination are shown as available.
//
// With nodeLeavesAfter, the Nodes that become Ready from then on leave again
// while their instances run: {"nodeLeavesAfter":"5m","nodeLeaves":"deleted",
// "nodeReturnsAfter":"1m"}.
//
// A parameter that no action reads is refused, by EC2 with UnknownParameter and
// by the others with a ValidationError, also where AWS knows it. Those that are
// taken without an effect are listed with the others, by action, in the code.
//
// A program in the same process may [Sim.Observe] every call and every change.
//
// # Where it is not AWS
//
// Events arrive at once and once. Event patterns know the operators prefix,
// suffix, equals-ignore-case, anything-but and exists, and refuse others, as
// queue policies refuse what they do not know. A topic of SNS as a hook's
// target gets nothing. No source says whether a changed hook counts for what
// already waits for it (the setting hookChange), nor what a call about a
// lifecycle action with neither token nor instance id is told.
//
// Whether scale-in takes Pending instances is not said either; the guide only
// says that a suspended Terminate does not protect them (the setting
// pendingScaleIn). Nor is it said whether an instance shows the version of its
// launch template where its group names none (the setting unnamedVersion).
//
// No source gives the words of ExitStandby's refusals (Launch suspended, at
// MaxSize), of a MaxInstanceLifetime out of bounds and of what it brings about,
// of ScalingActivityInProgress for one instance, of a TerminateInstances that
// disableApiStop refuses, and of what unknown parameters are told outside EC2;
// they follow the style of those known. One instance that is protected has EC2
// refuse the whole call, also for instances of other zones. Health checks know
// no grace period.
//
// Of warm pools there are the states Stopped and Running. Only a scale-in
// returns instances to one, without another launch hook, and what happens to an
// instance in the pool is not noticed. Capacity Rebalancing waits for the new
// instance however long it takes, and asks for no protection from scale-in. An end from outside is not
// noticed of a retained instance either.
//
// Answers are consistent at once unless [Config.StaleReads]
// says how far they may lag, as those of AWS do; a lagging answer shows one past
// moment as a whole, never parts of two. Cooldowns, scaling policies, load
// balancer health and instance weights by type are left out: a mixed instances
// group always launches its first override. A launch template's image is shown as it was given: no parameter of Systems Manager is resolved. A
// group takes a version that its template does not have, which AWS refuses.
// AZRebalance acts when told to, or by itself with the setting
// azRebalance; it sees no zone that the group has left. An instance refresh
// replaces one at a time. With kwok the Node of a stopped instance stays Ready,
// as kwok goes on reporting for it.
package awssim
