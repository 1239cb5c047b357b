package certsrv

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/html"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/wire"
)

// page is an HTML page of the server. Its elements that are translated have ids such as
// locPageTitle, in every language.
type page struct {
	raw      string
	elements []element // with such an id, in the order of the page
	all      string    // text of the whole page
}

type element struct{ id, text string }

// parsePage reads a page. What is no page of the server has no elements.
func parsePage(body []byte) (*page, error) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("reading page: %w", err)
	}
	p := &page{raw: string(body), all: textOf(root)}
	for n := range root.Descendants() {
		if id := idOf(n); isTranslated(id) {
			p.elements = append(p.elements, element{id, textOf(n)})
		}
	}
	return p, nil
}

// isTranslated accepts locPageTitle, and not location.
func isTranslated(id string) bool {
	return len(id) > 3 && strings.HasPrefix(id, "loc") && id[3] >= 'A' && id[3] <= 'Z'
}

func idOf(n *html.Node) string {
	for _, a := range n.Attr {
		if n.Type == html.ElementNode && strings.EqualFold(a.Key, "id") {
			return a.Val
		}
	}
	return ""
}

// textOf joins the text below a node, without scripts and styles.
func textOf(root *html.Node) string {
	var words []string
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" && n.Parent.Data != "noscript" {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

// text is what the page says, for administrators.
func (p *page) text() string {
	var parts []string
	for _, e := range p.elements {
		if len(parts) == 0 || !strings.Contains(parts[len(parts)-1], e.text) { // not what an outer element holds
			parts = append(parts, e.text)
		}
	}
	if len(parts) == 0 {
		return wire.Text(p.all)
	}
	return wire.Text(strings.Join(parts, " "))
}

// outcome is what a page says about a request.
type outcome struct {
	number string
	issued bool
}

// outcome reads the answer to a request. Three kinds of page exist: issued links to the
// certificate, denied names an HRESULT or has the element locDenied, pending has neither and
// gives a number. What fits two of them, or none, leaves open whether a certificate exists;
// the outcome then has the number, if the page gives one.
func (p *page) outcome() (outcome, error) {
	links, codes := p.links(), p.codes()
	switch {
	case len(links) == 1 && len(codes) == 0 && !p.denied():
		return outcome{number: links[0], issued: true}, nil
	case len(links) > 0:
		return outcome{}, fmt.Errorf("page links to requests %s and has codes %s", strings.Join(links, ", "), codes)
	case len(codes) > 0 || p.denied():
		return outcome{number: p.number()}, p.refusal(codes)
	}
	number := p.number()
	if number == "" {
		return outcome{}, fmt.Errorf("page is neither one of issued, denied nor pending: %q", p.text())
	}
	return outcome{number: number}, nil
}

// refusal classifies a page with codes. Only the first counts: a page explains it by others.
func (p *page) refusal(codes []adcs.HRESULT) error {
	denied := &upstream.Denied{ID: p.number(), Code: adcs.CodeDenied, Text: p.text()}
	if len(codes) == 0 {
		return denied
	}
	denied.Code, denied.Hint, denied.Person = codes[0].String(), codes[0].Hint(), codes[0].RefusesPerson()
	switch effect := codes[0].Effect(); {
	case effect == adcs.RefusedPortal:
		denied.Credentials = true
	case effect != adcs.Refused && !p.denied():
		return fmt.Errorf("page has the code %s: %q", codes[0].Explained(), denied.Text)
	}
	return denied
}

// denied reports whether this is the page of a denied request.
func (p *page) denied() bool {
	return slices.ContainsFunc(p.elements, func(e element) bool { return e.id == "locDenied" })
}

// links gives the numbers of requests whose certificates the page links to.
func (p *page) links() []string {
	var numbers []string
	for _, m := range regexp.MustCompile(`(?i)certnew\.(?:cer|p7b)\?ReqID=([0-9]{1,64})\b`).FindAllStringSubmatch(p.raw, 100) {
		if adcs.ValidNumber(m[1]) && !slices.Contains(numbers, m[1]) {
			numbers = append(numbers, m[1])
		}
	}
	return numbers
}

// codes gives the HRESULTs of errors in the text. In scripts they may be constants.
func (p *page) codes() []adcs.HRESULT {
	var codes []adcs.HRESULT
	for _, m := range regexp.MustCompile(`(?i)\b0x8[0-9a-f]{7}\b`).FindAllString(p.all, 100) {
		if h, ok := adcs.ParseHRESULT(m); ok {
			codes = append(codes, h)
		}
	}
	return codes
}

// number finds the number of the request: the only one in an element whose id says that it
// holds it, else the only one in the other elements of information, else in a sentence in
// English, German or French.
func (p *page) number() string {
	for _, fits := range []func(string) bool{
		func(id string) bool { return strings.Contains(id, "ReqID") },
		func(id string) bool { return strings.HasPrefix(id, "locInfo") },
	} {
		var numbers []string
		for _, e := range p.elements {
			if fits(e.id) {
				numbers = append(numbers, numbersIn(e.text)...)
			}
		}
		slices.Sort(numbers)
		if numbers = slices.Compact(numbers); len(numbers) == 1 {
			return numbers[0]
		}
	}
	sentence := regexp.MustCompile(`(?i)(?:Your Request Id is|Anforderungs-?ID (?:lautet|ist)|(?:ID de (?:la|votre) demande|ID de demande) est)\s*:?\s*([0-9]{1,64})\b`)
	if m := sentence.FindStringSubmatch(p.all); m != nil && adcs.ValidNumber(m[1]) {
		return m[1]
	}
	return ""
}

// numbersIn gives the numbers that stand alone in a text: not those within an HRESULT.
func numbersIn(text string) []string {
	var numbers []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" .,;:!?()\"'«»\u00a0", r) }) {
		if adcs.ValidNumber(word) {
			numbers = append(numbers, word)
		}
	}
	return numbers
}
