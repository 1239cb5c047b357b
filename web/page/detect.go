package page

import (
	"strconv"
	"strings"
)

// Safari is the name Detect gives to Apple's browser, the only one on iOS that
// hands a certificate to the system.
const Safari = "Safari"

// Client is what a browser says about the device it runs on. All of it is a
// guess, to choose words and a first suggestion; people can always correct it.
type Client struct {
	Platform  string // one of the platforms; empty when unknown
	Major     int    // major version of the system, 0 when unknown; Chrome says Android 10 everywhere
	Browser   string // "Safari", "Chrome", "Firefox", …; empty when unknown
	InApp     string // app whose built-in browser this is, "WeChat", …; empty for a real browser
	Mobile    bool   // a phone or tablet
	Samsung   bool   // an Android phone or tablet by Samsung, whose menus differ
	ChromeOS  bool   // a Chromebook; Platform is Android, whose steps are nearest
	IPadMaybe bool   // says it is a Mac with Safari, which iPads say too
}

// maxUserAgent bounds what is read of a User-Agent, in bytes. Real ones are under
// 400.
const maxUserAgent = 1024

// Detect guesses the device from the User-Agent header and the client hint
// Sec-CH-UA-Platform (with its quotes or without). Any bytes are harmless: the
// answer is made of constants and one small number.
//
// The hint wins where there is one, because it is not frozen; Safari and Firefox
// send none. An iPad says it is a Mac since iPadOS 13, so a Mac with Safari may
// be one.
func Detect(userAgent, chPlatform string) Client {
	ua := userAgent
	if len(ua) > maxUserAgent {
		ua = ua[:maxUserAgent]
	}
	c := Client{Browser: browser(ua), InApp: inApp(ua)}
	c.system(ua)
	c.hint(strings.Trim(chPlatform, `"`))
	if c.Platform == IOS && c.InApp == "" && c.Browser == "" && strings.Contains(ua, "AppleWebKit") && !strings.Contains(ua, "Safari/") {
		// A web view names no browser of its own; a real one always does.
		c.InApp = "app"
	}
	c.IPadMaybe = c.Platform == MacOS && c.Browser == Safari
	c.Samsung = c.Platform == Android && !c.ChromeOS && containsAny(ua, "SamsungBrowser/", "; "+samsungModel, "; SAMSUNG "+samsungModel)
	return c
}

// samsungModel begins the names of Samsung's models since 2013.
const samsungModel = "SM-"

// Model takes the client hint Sec-CH-UA-Model, with its quotes or without: Chrome's
// User-Agent names no model.
func (c Client) Model(hint string) Client {
	if c.Platform == Android && !c.ChromeOS && strings.HasPrefix(strings.Trim(hint, `" `), samsungModel) {
		c.Samsung = true
	}
	return c
}

// system reads platform and version from the User-Agent.
func (c *Client) system(ua string) {
	switch {
	case containsAny(ua, "iPhone", "iPad", "iPod"):
		c.Platform, c.Mobile = IOS, true
		c.Major = number(ua, "OS ")
		if c.Browser == Safari {
			// iOS froze its own number in the User-Agent at 18; Safari's goes on.
			c.Major = max(c.Major, number(ua, "Version/"))
		}
	case strings.Contains(ua, "CrOS"):
		c.Platform, c.ChromeOS = Android, true
	case strings.Contains(ua, "Android"):
		c.Platform, c.Mobile = Android, true
		c.Major = number(ua, "Android ")
	case strings.Contains(ua, "Windows"):
		c.Platform = Windows
		c.Major = number(ua, "Windows NT ")
	case containsAny(ua, "Macintosh", "Mac OS X"):
		c.Platform = MacOS
	case containsAny(ua, "Linux", "X11", "FreeBSD", "OpenBSD"):
		c.Platform = Linux
	}
}

// hint corrects the platform by the client hint.
func (c *Client) hint(platform string) {
	before := c.Platform
	switch platform {
	case "Android":
		c.Platform, c.Mobile = Android, true
	case "iOS":
		c.Platform, c.Mobile = IOS, true
	case "Windows":
		c.Platform, c.Mobile = Windows, false
	case "macOS":
		c.Platform, c.Mobile = MacOS, false
	case "Linux":
		c.Platform, c.Mobile = Linux, false
	case "Chrome OS", "Chromium OS":
		c.Platform, c.Mobile, c.ChromeOS = Android, false, true
	}
	if c.Platform != before {
		c.Major = 0 // the number belongs to what the User-Agent said
	}
}

// token is a part of a User-Agent and its meaning.
type token struct{ piece, name string }

// browser names the browser. The order matters: nearly all of them also say
// Chrome, and those say Safari.
func browser(ua string) string {
	for _, t := range []token{
		{"FxiOS/", "Firefox"}, {"Focus/", "Firefox Focus"}, {"CriOS/", "Chrome"}, {"EdgiOS/", "Edge"},
		{"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"}, {"OPiOS/", "Opera"}, {"OPT/", "Opera"},
		{"GSA/", "Google"}, {"Brave/", "Brave"}, {"YaBrowser/", "Yandex"}, {"UCBrowser/", "UC Browser"},
		{"SamsungBrowser/", "Samsung Internet"}, {"HuaweiBrowser/", "Huawei Browser"}, {"MiuiBrowser/", "Mi Browser"},
		{"EdgA/", "Edge"}, {"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"},
		{"Firefox/", "Firefox"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
	} {
		if strings.Contains(ua, t.piece) {
			return t.name
		}
	}
	if strings.Contains(ua, "Safari/") && strings.Contains(ua, "Version/") {
		return Safari
	}
	return ""
}

// inApp names the app whose built-in browser this is; certificates cannot be
// installed from any of them. WeCom also says MicroMessenger, Instagram and
// Messenger also say FBAN.
func inApp(ua string) string {
	for _, t := range []token{
		{"wxwork", "WeCom"}, {"MicroMessenger", "WeChat"}, {"DingTalk", "DingTalk"}, {"Lark/", "Lark"}, {" QQ/", "QQ"},
		{"Instagram", "Instagram"}, {"FB_IAB/MESSENGER", "Messenger"}, {"FBAN/Messenger", "Messenger"},
		{"FBAN", "Facebook"}, {"FBAV", "Facebook"}, {"FB_IAB", "Facebook"},
		{" Line/", "LINE"}, {"Telegram", "Telegram"}, {"LinkedInApp", "LinkedIn"}, {"Twitter", "X"},
		{"Snapchat", "Snapchat"}, {"TeamsMobile", "Teams"}, {"Outlook-iOS", "Outlook"}, {"; wv)", "app"},
	} {
		if strings.Contains(ua, t.piece) {
			return t.name
		}
	}
	return ""
}

// number reads the digits that follow the mark, at most three of them.
func number(ua, mark string) int {
	_, rest, found := strings.Cut(ua, mark)
	if !found {
		return 0
	}
	end := 0
	for end < len(rest) && end < 3 && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(rest[:end])
	if err != nil {
		return 0
	}
	return n
}

func containsAny(s string, pieces ...string) bool {
	for _, piece := range pieces {
		if strings.Contains(s, piece) {
			return true
		}
	}
	return false
}
