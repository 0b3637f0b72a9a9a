package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// timestampType is the setting that says whose time a topic's records have.
const (
	timestampType = "message.timestamp.type"
	createTime    = "CreateTime"
	batchSize     = "max.message.bytes"
)

// whileMoving are settings that topics have for as long as the records of a journal are copied into them: the records keep
// their times, and none is too large.
func whileMoving() []setting {
	return []setting{
		{name: timestampType, value: createTime, harm: "records that are copied into it would lose their times"},
		{name: batchSize, value: strconv.Itoa(LargestDeadLetter + batchOverhead)},
	}
}

// EnsureMoving is Ensure for topics that records are to be copied into as they are, until [Connection.EnsureMoved] ends it. It refuses
// a topic that would give them another time.
func (c Connection) EnsureMoving(ctx context.Context, topics []Topic, partitions int32) error {
	cl, err := c.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	e := ensuring{client: cl, admin: kadm.NewClient(cl), conn: c, topics: topics, moving: true}
	count, _, err := e.run(ctx, partitions)
	if err == nil && count != partitions {
		err = fmt.Errorf("the topics have %d partitions, and those of the journal %d: delete them", count, partitions)
	}
	if err != nil {
		return err
	}
	found, _, err := e.find(ctx)
	if err != nil {
		return err
	}
	have, err := e.settings(ctx, found)
	if err != nil {
		return err
	}
	var wrong []error
	for _, t := range topics {
		for _, s := range whileMoving() {
			if is := have[t.Name][s.name]; s.harm != "" && is != s.value {
				wrong = append(wrong, fmt.Errorf("topic %s has %s=%s: %s; set it to %s, or delete the topic", t.Name, s.name, is, s.harm, s.value))
			}
		}
	}
	return errors.Join(wrong...)
}

// EnsureMoved gives topics the settings that Ensure makes them with, where EnsureMoving has made them with others. It may be called again.
func (c Connection) EnsureMoved(ctx context.Context, topics []Topic) error {
	states, err := c.Inspect(ctx, topics, 1)
	if err != nil {
		return err
	}
	return c.asking(ctx, func(ctx context.Context, admin *kadm.Client) error {
		for _, s := range states {
			var changes []kadm.AlterConfig
			for _, t := range s.Traits {
				if (t.Name == timestampType || t.Name == batchSize) && t.Is != t.Should {
					changes = append(changes, kadm.AlterConfig{Name: t.Name, Value: &t.Should})
				}
			}
			if len(changes) == 0 {
				continue
			}
			answers, err := admin.AlterTopicConfigs(ctx, changes, s.Topic.Name)
			if err == nil && len(answers) == 1 {
				err = answers[0].Err
			}
			if err != nil {
				return fmt.Errorf("change the settings of topic %s: %w", s.Topic.Name, err)
			}
		}
		return nil
	})
}
