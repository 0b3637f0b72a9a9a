// Package groups is a coordinator of Kafka's classic consumer groups, without the protocol: members join, one of them is told
// all and says who reads what, and when somebody comes or goes they begin again.
//
// A group lives in memory, and only while it has members. After a restart nobody is known: members are told so, and join
// again. What outlives that are commits, which the caller keeps; [Coordinator.Commit] only says who may.
//
// A group is in one of three states:
//
//	PreparingRebalance   waits until all members have joined (again), or the longest of their rebalance timeouts is over;
//	                     who hasn't joined by then is put out
//	CompletingRebalance  has a new generation; waits until its leader has said who reads what
//	Stable               members send heartbeats
//
// Who joins, leaves, or is silent for its session timeout makes it prepare again. The errors are Kafka's. Time is that of
// package time, so that testing/synctest can drive it.
package groups
