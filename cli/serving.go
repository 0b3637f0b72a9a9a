package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/journal/files"
	"stockflow/processors"
	"stockflow/replay"
)

// addressFile is where in its directory a running Stockflow says where it answers HTTP.
const addressFile = "http"

// announce writes down where HTTP is answered, and returns how that is taken back.
func announce(fsys files.FS, data, address string) (end func() error, err error) {
	if err := files.Replace(fsys, filepath.Join(data, addressFile), []byte("http://"+address+"\n")); err != nil {
		return nil, fmt.Errorf("writing down where HTTP is answered: %w", err)
	}
	return func() error { return withdraw(fsys, data) }, nil
}

// withdraw takes back where HTTP is answered.
func withdraw(fsys files.FS, data string) error {
	if err := fsys.Remove(filepath.Join(data, addressFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// servedAt returns where the Stockflow of a directory answers HTTP, "" if none is running.
func servedAt(data string) (string, error) {
	if running, err := broker.Running(data); err != nil || !running {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(data, addressFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// serving asks a running Stockflow over HTTP.
type serving struct{ url string }

// places are where rows are served, and what their keys are called there.
var places = map[string]struct{ path, key string }{
	processors.OrderTable:        {"/v1/orders", "order_id"},
	processors.InventoryTable:    {"/v1/inventory", "sku"},
	processors.ShipmentTable:     {"/v1/shipments", "order_id"},
	processors.NotificationTable: {"/v1/notifications", "order_id"},
}

// asked is what verification asks.
func (s serving) asked() *replay.Served {
	return &replay.Served{List: s.list, Get: s.get, Render: api.Render}
}

// ready insists that everything is answered.
func (s serving) ready(ctx context.Context) error {
	status, body, err := s.ask(ctx, "/readyz")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s is not ready: %s", s.url, body)
	}
	return err
}

func (s serving) list(ctx context.Context, table string, each func(key string, version int64, body []byte) error) (bool, error) {
	at, served := places[table]
	if !served {
		return false, nil
	}
	for cursor := ""; ; {
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  string            `json:"next"`
		}
		status, body, err := s.insist(ctx, at.path+"?limit=200"+cursor)
		if err != nil {
			return true, err
		}
		if err := json.Unmarshal(body, &page); err != nil || status != http.StatusOK {
			return true, fmt.Errorf("%s%s is answered with %d %.200s", s.url, at.path, status, body)
		}
		for _, item := range page.Items {
			key, version, err := keyOf(item, at.key)
			if err != nil {
				return true, err
			}
			if err := each(key, version, item); err != nil {
				return true, err
			}
		}
		if page.Next == "" {
			return true, nil
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
}

func (s serving) get(ctx context.Context, table, key string) (version int64, body []byte, found bool, err error) {
	at := places[table]
	status, body, err := s.insist(ctx, at.path+"/"+url.PathEscape(key))
	switch {
	case err != nil:
		return 0, nil, false, err
	case status == http.StatusNotFound:
		return 0, nil, false, nil
	case status != http.StatusOK:
		return 0, nil, false, fmt.Errorf("%s%s/%s is answered with %d %.200s", s.url, at.path, key, status, body)
	}
	_, version, err = keyOf(body, at.key)
	return version, body, true, err
}

// keyOf reads the key and the version from what is served of a row.
func keyOf(item []byte, name string) (key string, version int64, err error) {
	var row map[string]json.RawMessage
	err = errors.Join(json.Unmarshal(item, &row), json.Unmarshal(row[name], &key), json.Unmarshal(row["version"], &version))
	if err != nil {
		err = fmt.Errorf("what HTTP serves is no row: %.200s: %w", item, err)
	}
	return key, version, err
}

const (
	// askTimeout is how long one answer may take.
	askTimeout = 30 * time.Second
	// mostAsked is how often something is asked for that is answered with "not now".
	mostAsked = 20
)

// insist asks again while the answer is that there is too much to do just now.
func (s serving) insist(ctx context.Context, path string) (status int, body []byte, err error) {
	status, body, _, err = s.insistOn(ctx, http.MethodGet, path, nil)
	return status, body, err
}

// insistOn sends what may be sent more than once, while the answer is that there is too much to do just now. tries is how
// often it did.
func (s serving) insistOn(ctx context.Context, method, path string, sent []byte) (status int, body []byte, tries int, err error) {
	for tries = 1; ; tries++ {
		status, body, wait, err := s.once(ctx, method, path, sent)
		if err != nil || tries == mostAsked || status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			return status, body, tries, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, tries, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (s serving) ask(ctx context.Context, path string) (status int, body []byte, err error) {
	status, body, _, err = s.once(ctx, http.MethodGet, path, nil)
	return status, body, err
}

// once asks once. wait is when to ask again, if it makes sense.
func (s serving) once(ctx context.Context, method, path string, sent []byte) (status int, body []byte, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(sent))
	if err != nil {
		return 0, nil, 0, fmt.Errorf("--url: %w", err)
	}
	if len(sent) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, 0, err
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, time.Duration(min(max(seconds, 1), 10)) * time.Second, errors.Join(err, answer.Body.Close())
}
