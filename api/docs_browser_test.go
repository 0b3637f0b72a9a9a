package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// chromium returns a browser, and skips the test where there is none, unless STOCKFLOW_REQUIRE wants "chromium".
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if strings.Contains(os.Getenv("STOCKFLOW_REQUIRE"), "chromium") {
		t.Fatal("there is no chromium here; make test-browser installs it")
	}
	t.Skip("there is no chromium here; make test-browser installs it")
	return ""
}

// A browser shows the page with nothing but this server to ask: every route is there, a form sends what is in it and
// shows the answer, and that is all that the page asks anyone.
func TestABrowserShowsTheDocumentAndTriesARoute(t *testing.T) {
	browser := chromium(t)
	h := newHouse(t)
	h.want("POST", "/v1/inventory/lamp/receipts", `{"quantity":5}`, 200)
	dom, requests := browse(t, browser, h.url, "/docs#try=getInventory")
	for path, item := range newContract(t).doc.Paths.Map() {
		for method, op := range item.Operations() {
			class := "method " + strings.ToLower(method)
			want := `<section class="route" id="` + op.OperationID + `"><h3><span class="` + class + `">` + method + `</span>` + path + `</h3>`
			if !strings.Contains(dom, want) {
				t.Errorf("the page does not show %s %s", method, path)
			}
		}
	}
	for _, want := range []string{
		"<title>Stockflow: the API</title>", "Idempotency-Key", "urn:stockflow:problem:invalid", "all_or_nothing",
		"200 OK", `{"sku":"lamp","on_hand":5`,
	} {
		if !strings.Contains(dom, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	dom = regexp.MustCompile(`(?s)<script.*?</script>`).ReplaceAllString(dom, "") // what is left is what is seen
	if strings.Contains(dom, "[object") || strings.Contains(dom, "undefined") {
		t.Error("the page shows what is no text")
	}
	if want := []string{h.url + "/v1/inventory/lamp"}; !slices.Equal(requests, want) {
		t.Errorf("the page asks for %v, expected %v", requests, want)
	}
}

// browse returns a page as it is when its scripts have run, and what it asked for itself. Whatever is not on this
// machine, the browser would ask a proxy for that isn't there: what it wants of its maker goes nowhere either.
func browse(t *testing.T, browser, origin, page string) (dom string, requests []string) {
	t.Helper()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	netLog := filepath.Join(home, "net.json")
	cmd := exec.CommandContext(ctx, browser,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
		"--user-data-dir="+filepath.Join(home, "profile"), "--proxy-server="+nobody.Addr().String(), "--proxy-bypass-list=127.0.0.1",
		"--log-net-log="+netLog, "--virtual-time-budget=5000", "--dump-dom", origin+page)
	cmd.Env = append(os.Environ(), "HOME="+home)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%.2000s", browser, err, complaints.String())
	}
	return string(out), requestsOf(t, netLog, origin)
}

// requestsOf returns what the pages of an origin asked for, as the browser's log of its network has it. What the browser
// asked for by itself has another initiator.
func requestsOf(t *testing.T, netLog, origin string) (requests []string) {
	t.Helper()
	text, err := os.ReadFile(netLog)
	if err != nil {
		t.Fatal(err)
	}
	var log struct {
		Events []struct {
			Params struct{ Initiator, Method, URL string }
		}
	}
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	for _, e := range log.Events {
		if p := e.Params; p.Initiator == origin && p.Method != "" && !slices.Contains(requests, p.URL) {
			requests = append(requests, p.URL)
		}
	}
	return requests
}
