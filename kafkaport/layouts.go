package kafkaport

import "github.com/twmb/franz-go/pkg/kmsg"

// layouts are those of all requests that are answered, in all their versions. layout_test.go compares them with kmsg.
var layouts = map[kmsg.Key][]field{
	kmsg.Produce: {
		textField().from(3), bytesOf(2), bytesOf(4),
		listOf(textField().to(12), bytesOf(16).from(13), listOf(bytesOf(4), octetsField())),
	},
	kmsg.Fetch: {
		bytesOf(4).to(14), bytesOf(4), bytesOf(4), bytesOf(4).from(3), bytesOf(1).from(4), bytesOf(8).from(7),
		listOf(textField().to(12), bytesOf(16).from(13),
			listOf(bytesOf(4), bytesOf(4).from(9), bytesOf(8), bytesOf(4).from(12), bytesOf(8).from(5), bytesOf(4))),
		listOf(textField().to(12), bytesOf(16).from(13), valuesOf(bytesOf(4))).from(7),
		textField().from(11),
		tagOf(1, bytesOf(12)),
	},
	kmsg.ListOffsets: {
		bytesOf(4), bytesOf(1).from(2),
		listOf(textField(), listOf(bytesOf(4), bytesOf(4).from(4), bytesOf(8), bytesOf(4).to(0))),
		bytesOf(4).from(10),
	},
	kmsg.Metadata: {
		listOf(bytesOf(16).from(10), textField()),
		bytesOf(1).from(4), bytesOf(1).from(8).to(10), bytesOf(1).from(8),
	},
	kmsg.OffsetCommit: {
		textField(), bytesOf(4).from(1), textField().from(1), textField().from(7), bytesOf(8).from(2).to(4),
		listOf(textField().to(9), bytesOf(16).from(10),
			listOf(bytesOf(4), bytesOf(8), bytesOf(8).from(1).to(1), bytesOf(4).from(6), textField())),
	},
	kmsg.OffsetFetch: {
		textField().to(7), listOf(textField(), valuesOf(bytesOf(4))).to(7),
		listOf(textField(), textField().from(9), bytesOf(4).from(9),
			listOf(textField().to(9), bytesOf(16).from(10), valuesOf(bytesOf(4)))).from(8),
		bytesOf(1).from(7),
	},
	kmsg.FindCoordinator: {textField().to(3), bytesOf(1).from(1), valuesOf(textField()).from(4)},
	kmsg.JoinGroup: {
		textField(), bytesOf(4), bytesOf(4).from(1), textField(), textField().from(5), textField(),
		listOf(textField(), octetsField()), textField().from(8),
	},
	kmsg.Heartbeat: {textField(), bytesOf(4), textField(), textField().from(3)},
	kmsg.LeaveGroup: {
		textField(), textField().to(2), listOf(textField(), textField(), textField().from(5)).from(3),
	},
	kmsg.SyncGroup: {
		textField(), bytesOf(4), textField(), textField().from(3), textField().from(5), textField().from(5),
		listOf(textField(), octetsField()),
	},
	kmsg.DescribeGroups: {valuesOf(textField()), bytesOf(1).from(3)},
	kmsg.ListGroups:     {valuesOf(textField()).from(4), valuesOf(textField()).from(5)},
	kmsg.ApiVersions:    {textField().from(3), textField().from(3)},
	kmsg.InitProducerID: {textField(), bytesOf(4), bytesOf(8).from(3), bytesOf(2).from(3)},
	kmsg.OffsetForLeaderEpoch: {
		bytesOf(4).from(3), listOf(textField(), listOf(bytesOf(4), bytesOf(4).from(2), bytesOf(4))),
	},
	kmsg.DescribeConfigs: {
		listOf(bytesOf(1), textField(), valuesOf(textField())), bytesOf(1).from(1), bytesOf(1).from(3),
	},
	kmsg.DescribeCluster: {bytesOf(1), bytesOf(1).from(1), bytesOf(1).from(2)},
}
