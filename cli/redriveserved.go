package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"stockflow/api"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/views"
)

// servedRedriver has a running Stockflow send letters.
type servedRedriver struct{ serving }

// Send implements redriver.
func (s servedRedriver) Send(ctx context.Context, letters []views.DeadLetter, o deadletters.Options) (sent []deadletters.Sent, err error) {
	body, err := json.Marshal(api.RedriveRequest{Again: o.Again, Value: o.Value, Force: o.Force})
	if err != nil {
		return nil, fmt.Errorf("writing what is asked for: %w", err)
	}
	for _, l := range letters {
		one, done, err := s.sendOne(ctx, l, body)
		if err != nil {
			return sent, err
		}
		if done {
			sent = append(sent, one)
		}
	}
	return sent, nil
}

// sendOne reports whether it was this letter's sender: somebody else may have sent it since it was chosen.
func (s servedRedriver) sendOne(ctx context.Context, l views.DeadLetter, body []byte) (sent deadletters.Sent, done bool, err error) {
	sent.DeadLetter = l
	path := "/v1/dead-letters/" + url.PathEscape(l.ID().String()) + "/redrive"
	status, text, tries, err := s.insistOn(ctx, http.MethodPost, path, body)
	if err != nil {
		return sent, false, fmt.Errorf("sending %s again: %w", l.ID(), err)
	}
	var problem struct{ Code, Detail string }
	var answer api.RedriveAnswer
	switch {
	case status == http.StatusOK && json.Unmarshal(text, &answer) == nil:
		sent.ID, sent.At = answer.RedriveID, engine.Position{Partition: answer.Partition, Offset: answer.Offset}
		return sent, true, nil
	case json.Unmarshal(text, &problem) != nil || problem.Code == "":
		return sent, false, fmt.Errorf("%s%s is answered with %d %.200s", s.url, path, status, text)
	case problem.Code == "already_redriven":
		return sent, tries > 1, nil // by an earlier try, whose outcome was not known
	}
	return sent, false, fmt.Errorf("sending %s again: %s: %s", l.ID(), problem.Code, problem.Detail)
}
