package page_test

import (
	"encoding/json"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"certportal/templates"
	"certportal/web/page"
)

// forms are the plural forms of one sentence; one without plurals has "other".
type forms map[string]string

func readCatalogue(t *testing.T, lang string) map[string]forms {
	t.Helper()
	data, err := fs.ReadFile(templates.Files, "locales/"+lang+".json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	c := map[string]forms{}
	for key, value := range raw {
		c[key] = forms{}
		switch value := value.(type) {
		case string:
			c[key]["other"] = value
		case map[string]any:
			for form, sentence := range value {
				c[key][form] = sentence.(string)
			}
		}
	}
	return c
}

func TestCataloguesAgree(t *testing.T) {
	t.Parallel()
	english := readCatalogue(t, page.English)
	for _, lang := range page.Languages() {
		c := readCatalogue(t, lang)
		if got, want := slices.Sorted(maps.Keys(c)), slices.Sorted(maps.Keys(english)); !slices.Equal(got, want) {
			t.Errorf("%s: keys differ from English", lang)
		}
		for key, f := range c {
			want := placeholders(english[key]["other"])
			for form, sentence := range f {
				got := placeholders(sentence)
				if form == "one" && !slices.Contains(got, "Count") {
					got = slices.Sorted(slices.Values(append(got, "Count"))) // "one more", in words
				}
				if !slices.Equal(got, want) && !slices.Equal(placeholders(sentence), want) {
					t.Errorf("%s: %s (%s): got placeholders %v, want %v", lang, key, form, got, want)
				}
				if strings.Count(sentence, "**")%2 != 0 {
					t.Errorf("%s: %s (%s): bold never ends", lang, key, form)
				}
			}
			if f["other"] == "" {
				t.Errorf("%s: %s says nothing", lang, key)
			}
		}
	}
}

// placeholders lists the names to be filled in. Org is left out: it is always at
// hand, and a language may say it where another does not.
func placeholders(s string) []string {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`{{\.(\w+)}}`).FindAllStringSubmatch(s, -1) {
		names[m[1]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func TestEverySentenceIsUsed(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	err := fs.WalkDir(templates.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".html") {
			return err
		}
		data, err := fs.ReadFile(templates.Files, name)
		source.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Keys that are put together, or used by the code.
	built := regexp.MustCompile(`^(span\..*|done\.(renamed|renewed)|check\.(works|other|none|foreign|replaced|expired|blocked|early)\.(h1|text)|check\.again\.(ios|android|windows|macos|linux)|audit\.(fault|field|role|bad)\..*|mail\..*|status\..*|admin\.mail\.kind\..*|admin\.(concern|remedy|verdict|weeks|kind|count|state|field|bad|watch|detail|what|cause|order|outcome|act|role|check|finding|export|exchange\.step)\..*|admin\.checks\.verdict\..*|admin\.ca\.(end|level|failed|state)\..*|admin\.ca\.(root|issuing)|admin\.discover\.address\..*|admin\.elsewhere\.(mark|verdict|answer|compared|revoked|failed|issue|refusal)(\..*)?|admin\.truth\.(late|none|off)|month\.\d+|number\.thousands|date|services|lang\.name|platform\.(ios|android|windows|macos|linux|other)|thing\..*|new\.suggested.*|problem\..*\.(h1|what|do)|problem\.device|profile\.(name|about.*|identity|consent.*)|refusal\..*|bring\.denied\..*|lost\.reason|rename\.taken|handoff\.(code\.form|number\.form|h1|burnt\.h1)|staff\.nav\..*|desk\.mailbox\.(list|block|wipe|undo)|fault\.(blocked|account|neverfetched|ended|void|expired|renamed|superseded|notdownloaded|earlier|mail|testagain|file|untested)\.(h1|text)|desk\.(check|mail|purpose|reason|nocode|role|why|event)\..*|desk\.(spell|block\.done)|desk\.fault\.(earlier|mail|testagain|file|untested)|pickup\.(form|wrong)|pickup\.(redeemed|ended|waiting|expired|void|spent)\.(h1|text)|login\.(wrong|sso\.denied|sso\.failed|username\.empty|password\.empty))$`)
	for key := range readCatalogue(t, page.English) {
		if !built.MatchString(key) && !strings.Contains(source.String(), `"`+key+`"`) {
			t.Errorf("sentence %s is used by no page", key)
		}
	}
}

// sameWords are the keys that may read alike in two languages: names, and words
// that both share.
var sameWords = regexp.MustCompile(`^(lang\.dir|number\.thousands|month\..*|date|contact\.h2|platform\.(android|windows|macos|linux)|thing\.(ios|macos))$`)

func TestNoEnglishLeftovers(t *testing.T) {
	t.Parallel()
	english := readCatalogue(t, page.English)
	for _, lang := range []string{page.German, page.Chinese} {
		for key, f := range readCatalogue(t, lang) {
			if f["other"] == english[key]["other"] && !sameWords.MatchString(key) {
				t.Errorf("%s: %s is still English: %q", lang, key, f["other"])
			}
		}
	}
}

// uiWords are labels of operating systems, which the pages must repeat exactly.
var uiWords = regexp.MustCompile(`\*\*[^*]*\*\*`)

func TestPlainWords(t *testing.T) {
	t.Parallel()
	jargon := regexp.MustCompile(`(?i)\b(CSR|PKCS|X\.?509|CA|SCEP|LDAP|p12|pfx|OCSP|CRL|oops|sorry|forbidden|invalid)\b`)
	for _, lang := range page.Languages() {
		for key, f := range readCatalogue(t, lang) {
			for _, sentence := range f {
				if strings.HasPrefix(key, "admin.detail.") {
					continue // what a check found, for administrators: it names settings, commands and protocols
				}
				if m := jargon.FindString(uiWords.ReplaceAllString(sentence, "")); m != "" {
					t.Errorf("%s: %s says %q", lang, key, m)
				}
			}
		}
	}
}

func TestShortSentences(t *testing.T) {
	t.Parallel()
	end := regexp.MustCompile(`[.:;?!]\s`)
	for _, lang := range []string{page.English, page.German} {
		for key, f := range readCatalogue(t, lang) {
			for _, whole := range f {
				// The words of a menu path are read one by one on the screen.
				for _, sentence := range end.Split(uiWords.ReplaceAllString(whole, "menu"), -1) {
					if n := len(strings.Fields(sentence)); n > 20 {
						t.Errorf("%s: %s: %d words: %q", lang, key, n, sentence)
					}
				}
			}
		}
	}
}

func TestGivenWords(t *testing.T) {
	t.Parallel()
	tests := []struct{ key, en, zh, de string }{
		{"login.h1", "Sign in", "登录", "Anmelden"},
		{"login.intro", "Use your {{.Org}} work account, the same one you use on your office computer.", "请使用您的{{.Org}}工作帐号，与办公电脑的帐号相同。", "Verwenden Sie Ihr {{.Org}}-Konto, dasselbe wie an Ihrem Bürocomputer."},
		{"login.wrong", "Check your username and password and try again", "请检查用户名和密码，然后重试", "Prüfen Sie Benutzername und Passwort und versuchen Sie es noch einmal"},
		{"error.summary", "There is a problem", "出现问题", "Es gibt ein Problem"},
		{"home.h1", "My devices", "我的设备", "Meine Geräte"},
		{"home.get", "Get a certificate for this phone", "为这部手机获取证书", "Zertifikat für dieses Handy holen"},
		{"home.quota", "You are using {{.Count}} of {{.Max}} devices.", "您已使用 {{.Count}} 台设备，最多 {{.Max}} 台。", "Sie nutzen {{.Count}} von {{.Max}} Geräten."},
		{"new.h1", "What is this device called?", "这台设备叫什么名字？", "Wie heißt dieses Gerät?"},
		{"new.button", "Get my certificate", "获取我的证书", "Mein Zertifikat holen"},
		{"install.h1", "Your certificate is ready", "您的证书已就绪", "Ihr Zertifikat ist fertig"},
		{"install.pw", "Your install password", "安装密码", "Ihr Installationspasswort"},
		{"install.pw.hint", "Your phone asks for this once. You do not need to keep it.", "手机只会询问一次，无需保存。", "Ihr Handy fragt einmal danach. Sie müssen es nicht aufheben."},
		{"steps.ios.8min", "Then do the next steps within 8 minutes, or download again.", "下载后请在 8 分钟内完成后续步骤，否则需重新下载。", "Machen Sie die nächsten Schritte dann innerhalb von 8 Minuten, sonst laden Sie noch einmal."},
		{"problem.issuer.h1", "We cannot make certificates right now", "目前无法签发证书", "Wir können gerade keine Zertifikate ausstellen"},
		{"quota.h1", "You have reached {{.Count}} devices", "设备数量已达上限（{{.Count}} 台）", "Sie haben {{.Count}} Geräte erreicht"},
		{"problem.not-allowed.h1", "You cannot get a certificate yet", "您暂时无法获取证书", "Sie können noch kein Zertifikat holen"},
		{"login.sso", "Continue with {{.Provider}}", "使用 {{.Provider}} 继续", "Weiter mit {{.Provider}}"},
		{"login.sso.instead", "Use username and password instead", "改用用户名和密码", "Stattdessen Benutzername und Passwort verwenden"},
		{"problem.locked.h1", "Your work account is locked", "您的工作帐号已被锁定", "Ihr Konto ist gesperrt"},
		{"problem.linkexpired.h1", "This link has run out", "此链接已失效", "Dieser Link ist abgelaufen"},
		{"problem.linkreplaced.h1", "This file was replaced by a newer one", "此文件已被新文件取代", "Diese Datei wurde durch eine neuere ersetzt"},
		{"problem.notremoved.h1", "The device was NOT removed", "设备没有被移除", "Das Gerät wurde NICHT entfernt"},
		{"frame.help", "Get help", "获取帮助", "Hilfe"},
	}
	en, zh, de := readCatalogue(t, page.English), readCatalogue(t, page.Chinese), readCatalogue(t, page.German)
	for _, tt := range tests {
		if got := [3]string{en[tt.key]["other"], zh[tt.key]["other"], de[tt.key]["other"]}; got != [3]string{tt.en, tt.zh, tt.de} {
			t.Errorf("%s: got %q, want %q", tt.key, got, [3]string{tt.en, tt.zh, tt.de})
		}
	}
}

func TestPlurals(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	tests := []struct {
		lang string
		used int
		want string
	}{
		{page.English, 1, "using 1 of 9 devices"}, {page.English, 12, "using 12 of 9 devices"},
		{page.German, 1, "nutzen 1 von 9"}, {page.German, 12, "nutzen 12 von 9"},
		{page.Chinese, 1, "已使用 1 台设备"}, {"ar", 2, "تستخدم جهازين من 9"}, {"ar", 5, "تستخدم 5 أجهزة من 9"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			p := page.Home{Layout: layout(tt.lang), Devices: cards()[:1], Used: tt.used, Limit: 9}
			if got := text(parse(t, render(t, r, p))); !strings.Contains(got, tt.want) {
				t.Errorf("page does not say %q", tt.want)
			}
		})
	}
}

func TestSuggestName(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	tests := []struct{ name, lang, given, platform, want string }{
		{"english", page.English, "Anna", page.IOS, "Anna’s iPhone"},
		{"english s", page.English, "Chris", page.Android, "Chris’s Android phone"},
		{"german", page.German, "Anna", page.IOS, "Annas iPhone"},
		{"german s", page.German, "Chris", page.Windows, "Chris’ Windows-PC"},
		{"chinese", page.Chinese, "伟", page.MacOS, "伟的Mac"},
		{"no name", page.English, " ", page.Linux, "Linux PC"},
		{"too long", page.English, strings.Repeat("Anna", 12), page.IOS, "iPhone"},
		{"markup stays text", page.English, "**{{.X}}", page.IOS, "**{{.X}}’s iPhone"},
		{"unknown platform", page.English, "Anna", "toaster", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := r.SuggestName(tt.lang, tt.given, tt.platform); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A host or an operator may have said that a CA elsewhere revoked a certificate: no sentence
// says that the CA did.
func TestNoPageSaysThatTheCAConfirmed(t *testing.T) {
	t.Parallel()
	for _, lang := range page.Languages() {
		c := readCatalogue(t, lang)
		for _, key := range []string{
			"lost.done.theirs.done", "lost.done.theirs.unlisted", "lost.done.theirs.missing", "desk.event.upstream.revoked",
			"admin.concern.upstream-unlisted", "admin.truth.theirs.done", "admin.elsewhere.revoked.done",
		} {
			for form, sentence := range c[key] {
				if regexp.MustCompile(`(?i)confirm|bestätigt|确认`).MatchString(sentence) || sentence == "" {
					t.Errorf("%s: %s (%s): %q", lang, key, form, sentence)
				}
			}
		}
	}
}
