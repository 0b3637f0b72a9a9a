package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func document(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	must(t, err)
	return doc
}

// Its examples are validated with it.
func TestTheDocumentIsOpenAPI31(t *testing.T) {
	doc := document(t)
	if !doc.IsOpenAPI31OrLater() {
		t.Errorf("it is %s", doc.OpenAPI)
	}
	must(t, doc.Validate(t.Context()))
}

func TestTheDocumentHasTheRoutesThatThereAre(t *testing.T) {
	var there, described []string
	for _, r := range newDesk(t).routes() {
		there = append(there, r.method+" "+r.path)
	}
	there = append(there, "GET /metrics") // it is Prometheus' own handler
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	wantSame(t, "routes", described, there)
}

func TestTheDocumentHasTheProblemsThatThereAre(t *testing.T) {
	var described []string
	for _, code := range document(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		described = append(described, code.(string))
	}
	wantSame(t, "problems", described, slices.Collect(maps.Keys(kinds)))
}

func TestTheDocumentHasTheTablesOfEvents(t *testing.T) {
	var described []string
	for _, table := range document(t).Components.Schemas["EventTable"].Value.Enum {
		described = append(described, table.(string))
	}
	wantSame(t, "tables", described, eventTables)
}

// wantSame fails the test unless the document has what there is, in any order.
func wantSame(t *testing.T, what string, described, there []string) {
	t.Helper()
	for _, one := range there {
		if !slices.Contains(described, one) {
			t.Errorf("openapi.yaml lacks one of the %s: %s", what, one)
		}
	}
	for _, one := range described {
		if !slices.Contains(there, one) {
			t.Errorf("openapi.yaml has one of the %s that isn't there: %s", what, one)
		}
	}
}

func TestEveryOperationSaysWhereItBelongs(t *testing.T) {
	doc := document(t)
	tags := map[string]bool{}
	for _, tag := range doc.Tags {
		tags[tag.Name] = true
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if len(op.Tags) != 1 || !tags[op.Tags[0]] || op.Summary == "" || op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s has the tags %v, the summary %q, the operationId %q", method, path, op.Tags, op.Summary, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
}

func TestTheDocumentIsServedAsItIs(t *testing.T) {
	w := newDesk(t).send("GET", "/openapi.yaml", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/yaml" || w.Body.String() != string(openAPI) {
		t.Errorf("the answer is %d %v of %d bytes", w.Code, w.Header(), w.Body.Len())
	}
}

var embedded = regexp.MustCompile(`(?s)<script type="application/json" id="document">(.*?)</script>`)

func TestThePageHasTheWholeDocument(t *testing.T) {
	w := newDesk(t).send("GET", "/docs", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("the answer is %d %v", w.Code, w.Header())
	}
	found := embedded.FindSubmatch(w.Body.Bytes())
	if found == nil {
		t.Fatal("the page has no document")
	}
	var got map[string]any
	must(t, json.Unmarshal(found[1], &got))
	doc := document(t)
	if n := len(got["paths"].(map[string]any)); n != doc.Paths.Len() || n == 0 {
		t.Errorf("it has %d paths, expected %d", n, doc.Paths.Len())
	}
}

// What the policy does not name, a browser doesn't run, and doesn't load.
func TestThePageIsRunAsItIsAndLoadsNothing(t *testing.T) {
	w := newDesk(t).send("GET", "/docs", "")
	text, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is %s", policy)
	}
	_, script, _ := strings.Cut(text, "<script>")
	script, _, _ = strings.Cut(script, "</script>")
	sum := sha256.Sum256([]byte(script))
	if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, "script-src "+want) {
		t.Errorf("the policy is %s, without the script's %s", policy, want)
	}
	template := string(docsTemplate)
	for _, outside := range []string{"http:", "https:", "src=", "@import", "innerHTML", "url("} {
		if strings.Contains(template, outside) {
			t.Errorf("the page has %q in it", outside)
		}
	}
}
