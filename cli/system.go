package cli

import (
	"context"
	"fmt"
	"sync"
	"time"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/journal"
	"stockflow/replay"
)

// systemTimeout is how long brokers may take to say how things are. What they haven't said by then is left out.
const systemTimeout = time.Second

// system says what there is to say of the whole. With a journal it waits for nobody.
func (s *Server) system(ctx context.Context) api.System {
	ctx, cancel := context.WithTimeout(ctx, systemTimeout)
	defer cancel()
	about := api.System{Version: builtFrom(), Deployment: s.deployment, Partitions: s.partitions, Disk: s.disk()}
	var asked sync.WaitGroup
	asked.Go(func() { about.Differ = s.differing(ctx) })
	about.Groups = s.groupLags(ctx)
	asked.Wait()
	if s.journal != nil {
		about.Journal = journalStatus(s.journal)
		about.Restored = s.silent()
		about.Backup = s.backup()
	}
	return about
}

// backup returns what is known of the last backup, nil for nothing.
func (s *Server) backup() *api.Backup {
	n, known, err := lastBackup(s.files(), s.serve.Data)
	if err != nil || !known {
		return nil
	}
	return &api.Backup{At: n.At.Format(time.RFC3339), Position: int64(n.Position)}
}

func (s *Server) lastBackupAt() (at time.Time, known bool) {
	n, known, err := lastBackup(s.files(), s.serve.Data)
	return n.At, known && err == nil
}

func journalStatus(j *journal.Journal) *api.Journal {
	stats := j.Stats()
	about := &api.Journal{
		ID: j.ID(), Epoch: j.Epoch(), Appended: int64(stats.Appended), Durable: int64(stats.Durable),
		Ahead: stats.Ahead, Files: stats.TailFiles + stats.SealedFiles, Unsealed: stats.TailBytes, Sealed: stats.SealedBytes,
		Sync: api.Syncs{Count: stats.Syncs, Seconds: stats.SyncTime.Seconds(), Last: stats.LastSync.Seconds()},
	}
	if err := j.Health(); err != nil {
		about.Problem = err.Error()
	}
	if stats.Background != nil {
		about.LastError = stats.Background.Error()
	}
	return about
}

// groupLags returns how far the groups of all roles are, whether or not they run in this process.
func (s *Server) groupLags(ctx context.Context) []api.GroupLag {
	all := make([]api.GroupLag, len(replay.Machines))
	var asked sync.WaitGroup
	for i, m := range replay.Machines {
		all[i] = api.GroupLag{Name: m.Name, Log: m.Log}
		asked.Go(func() {
			lags, err := s.outside.Lag(ctx, m.Name, m.Log)
			if err != nil {
				return
			}
			sum := int64(0)
			for _, lag := range lags {
				sum += lag
			}
			all[i].Lag = &sum
		})
	}
	asked.Wait()
	return all
}

// differing returns the topics that are not as they should be, nil if the brokers don't say.
func (s *Server) differing(ctx context.Context) []api.TopicDiff {
	states, err := s.outside.Inspect(ctx, topics(), s.partitions)
	if err != nil {
		return nil
	}
	all := []api.TopicDiff{}
	for _, state := range states {
		if differ := differences(state); len(differ) > 0 {
			all = append(all, api.TopicDiff{Name: state.Topic.Name, Differ: differ})
		}
	}
	return all
}

// differences returns what a topic has otherwise, one line each.
func differences(s broker.State) (lines []string) {
	if !s.Exists {
		return []string{"doesn't exist"}
	}
	for _, t := range s.Traits {
		if t.Verdict == broker.Fine {
			continue
		}
		line := fmt.Sprintf("%s is %s, should be %s", t.Name, t.Is, t.Should)
		if t.Why != "" {
			line += ": " + t.Why
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *Server) disk() (d api.Disk) {
	free, err := s.files().Free(s.serve.Data)
	if err == nil {
		d.Free = &free
	}
	return d
}
