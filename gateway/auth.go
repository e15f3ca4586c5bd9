// SPDX-License-Identifier: Apache-2.0

// Who somebody is: JSON Web Tokens of users and the admin key of the app's back end.

package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"

	tidemark "github.com/tidemark-im/tidemark"
)

const (
	tokenBytesMax   = 16 << 10        // a longer token is refused unread
	verifiedMax     = 1024            // verified tokens remembered
	verifiedFor     = 5 * time.Minute // a remembered token is verified again after this, so that removed keys take effect
	tokenLifetime   = 30 * 24 * time.Hour
	tokenLifetimeAt = 10 * 365 * 24 * time.Hour // greatest lifetime that can be asked for
)

// UserHeader names, in a request with the admin key, the user for whom the app acts.
const UserHeader = "Tidemark-User"

// Identity is who asks, as proven by a token or the admin key.
type Identity struct {
	User      tidemark.UserID   // "" only for the app when it acts for nobody
	Device    tidemark.DeviceID // the one device that the token is bound to; "": any
	App       bool              // the app's back end, by the admin key: may do everything
	ExpiresMs uint64            // the token's end, Unix ms; 0: never
	IssuedMs  uint64            // when the token was issued, Unix ms; 0: it does not say
}

// AuthConfig says which keys count. The server's own key (HS256) always does: tokens made by [Auth.Issue] carry it.
type AuthConfig struct {
	Dir         string        // the data directory, for the files auth.key and admin.key, made when absent
	AdminKey    string        // in place of the file admin.key; at least 16 bytes
	HS256Secret string        // in place of the file auth.key; at least 32 bytes
	PublicKeys  []byte        // PEM: any number of PUBLIC KEY or CERTIFICATE blocks of Ed25519 (EdDSA) or RSA (RS256, 2048 bits or more)
	JWKSURL     string        // a JSON Web Key Set of Ed25519 and RSA keys, fetched when needed; https, or http on this machine
	Issuer      string        // "": the claim iss is not looked at
	Audience    string        // "": the claim aud is not looked at
	Revoked     Revoked       // nil: no token is ever revoked
	HTTPClient  *http.Client  // for the JWKS; nil: one that waits at most 5 s
	NowMs       func() uint64 // nil: the system's clock
	Log         *slog.Logger  // nil: nothing is logged
}

// Auth verifies and issues. Safe for concurrent use.
type Auth struct {
	config   AuthConfig
	secret   []byte   // HS256
	admin    [32]byte // SHA-256 of the admin key: hides its length from timing
	adminKey string
	created  bool // the admin key was made by this start
	public   []publicKey
	jwks     *keySet // nil without a URL
	parser   *jwt.Parser
	verified *lru.Cache[[32]byte, verifiedToken]
}

// verifiedToken is what a token said when it was verified.
type verifiedToken struct {
	identity Identity
	untilMs  uint64
}

// claims are the claims of a user's token.
type claims struct {
	jwt.RegisteredClaims
	Issued issuedAt `json:"iat,omitempty"` // in place of the one in RegisteredClaims, which has whole seconds
	Device string   `json:"dev,omitempty"`
}

// NewAuth reads the keys, making the two key files (mode 0600) where they do not exist. It does not use the network.
func NewAuth(c AuthConfig) (*Auth, error) {
	if c.NowMs == nil {
		c.NowMs = func() uint64 { return uint64(time.Now().UnixMilli()) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	a := &Auth{config: c}
	var err error
	if a.verified, err = lru.New[[32]byte, verifiedToken](verifiedMax); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := a.readSecrets(); err != nil {
		return nil, err
	}
	if a.public, err = parsePublicKeys(c.PublicKeys); err != nil {
		return nil, err
	}
	if c.JWKSURL != "" {
		a.jwks = newKeySet(c.JWKSURL, c.HTTPClient, c.NowMs, c.Log)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{"HS256", "EdDSA", "RS256"}),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return time.UnixMilli(int64(c.NowMs())) }),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	a.parser = jwt.NewParser(options...)
	return a, nil
}

// Check says what is wrong with the keys that are given here, without making or reading any file.
func (c AuthConfig) Check() error {
	if n := len(c.HS256Secret); n > 0 && n < secretBytesMin {
		return fmt.Errorf("gateway: the HS256 secret has %d bytes: at least %d are needed", n, secretBytesMin)
	}
	if n := len(c.AdminKey); n > 0 && n < adminKeyBytesMin {
		return fmt.Errorf("gateway: the admin key has %d bytes: at least %d are needed", n, adminKeyBytesMin)
	}
	if _, err := parsePublicKeys(c.PublicKeys); err != nil {
		return err
	}
	if c.JWKSURL != "" {
		return checkKeySetURL(c.JWKSURL)
	}
	return nil
}

func (a *Auth) readSecrets() error {
	var err error
	if a.config.HS256Secret != "" {
		a.secret = []byte(a.config.HS256Secret)
	} else if a.secret, _, err = keyFile(a.config.Dir, "auth.key", secretBytesMin, a.config.Log); err != nil {
		return err
	}
	if a.config.AdminKey != "" {
		a.adminKey = a.config.AdminKey
	} else {
		var key []byte
		if key, a.created, err = keyFile(a.config.Dir, "admin.key", adminKeyBytesMin, a.config.Log); err != nil {
			return err
		}
		a.adminKey = string(key)
	}
	a.admin = sha256.Sum256([]byte(a.adminKey))
	return nil
}

// AdminKey is the admin key; created tells whether this start made it, so that the operator can be told.
func (a *Auth) AdminKey() (key string, created bool) { return a.adminKey, a.created }

// Issue makes a token for a user, signed with the server's own key, bound to a device unless that is "". ttl 0 means 30
// days; at most ten years. The user's existence is not checked.
func (a *Auth) Issue(user tidemark.UserID, device tidemark.DeviceID, ttl time.Duration) (token string, expiresMs uint64, err error) {
	switch {
	case !user.Valid() || user == tidemark.SystemUser:
		return "", 0, tidemark.Refuse(tidemark.BadArgument, "%q cannot be a user id: use %s", user, tidemark.IDAlphabet)
	case device != "" && !device.Valid():
		return "", 0, tidemark.Refuse(tidemark.BadArgument, "%q cannot be a device id: use %s", device, tidemark.IDAlphabet)
	case ttl < 0 || ttl > tokenLifetimeAt:
		return "", 0, tidemark.Refuse(tidemark.BadArgument, "a token lives at most ten years")
	case ttl == 0:
		ttl = tokenLifetime
	}
	nowMs := a.config.NowMs()
	issuedMs, err := a.notRevoked(user, device, nowMs)
	if err != nil {
		return "", 0, err
	}
	now := time.UnixMilli(int64(nowMs))
	c := claims{Device: string(device), Issued: issuedAt(issuedMs), RegisteredClaims: jwt.RegisteredClaims{
		Subject:   string(user),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)), // whole seconds, rounded down
		ID:        rand.Text(),
	}}
	if a.config.Issuer != "" {
		c.Issuer = a.config.Issuer
	}
	if a.config.Audience != "" {
		c.Audience = jwt.ClaimStrings{a.config.Audience}
	}
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(a.secret)
	if err != nil {
		return "", 0, fmt.Errorf("gateway: sign: %w", err)
	}
	return token, uint64(c.ExpiresAt.UnixMilli()), nil
}

// Verify says who a user's token names, and refuses it where the user has revoked it or does not exist any more; whether
// a device may use it says [Auth.Admit]. Every refusal of the token is BAD_TOKEN. It may wait for a fetch of the JWKS (at most 5 s). The
// admin key is not a token: see [Auth.FromRequest]. With the refusal of a token that has expired, and only then, ExpiresMs
// is set.
func (a *Auth) Verify(token string) (Identity, error) {
	id, err := a.verify(token)
	if err != nil {
		return id, err
	}
	if err := a.Admit(id, id.Device); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// verify looks at the token alone.
func (a *Auth) verify(token string) (Identity, error) {
	if token == "" {
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "there is no token")
	}
	if len(token) > tokenBytesMax {
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "the token is longer than %d bytes", tokenBytesMax)
	}
	hash, nowMs := sha256.Sum256([]byte(token)), a.config.NowMs()
	if v, ok := a.verified.Get(hash); ok && nowMs < v.untilMs {
		return v.identity, nil
	}
	var c claims
	if _, err := a.parser.ParseWithClaims(token, &c, a.keyFor); err != nil {
		return badToken(err, &c)
	}
	id := Identity{User: tidemark.UserID(c.Subject), Device: tidemark.DeviceID(c.Device), IssuedMs: uint64(c.Issued)}
	if !id.User.Valid() || id.User == tidemark.SystemUser {
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "the token's sub %q cannot be a user id: use %s", clip(c.Subject), tidemark.IDAlphabet)
	}
	if id.Device != "" && !id.Device.Valid() {
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "the token's dev %q cannot be a device id: use %s", clip(c.Device), tidemark.IDAlphabet)
	}
	v := verifiedToken{untilMs: nowMs + uint64(verifiedFor.Milliseconds())}
	if c.ExpiresAt != nil {
		id.ExpiresMs = uint64(c.ExpiresAt.UnixMilli())
		v.untilMs = min(v.untilMs, id.ExpiresMs)
	}
	v.identity = id
	a.verified.Add(hash, v)
	return id, nil
}

// keyFor gives the parser the keys that may have signed a token: those of its algorithm, and of its kid if they have one.
func (a *Auth) keyFor(t *jwt.Token) (any, error) {
	algorithm := t.Method.Alg()
	if algorithm == "HS256" {
		return a.secret, nil // never a public key: its bytes would be a secret that everybody knows
	}
	kid, _ := t.Header["kid"].(string)
	keys := matching(nil, a.public, algorithm, kid)
	if a.jwks != nil {
		keys = matching(keys, a.jwks.keys(kid), algorithm, kid)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no %s key is configured for it", algorithm)
	}
	return jwt.VerificationKeySet{Keys: keys}, nil
}

func matching(out []jwt.VerificationKey, keys []publicKey, algorithm, kid string) []jwt.VerificationKey {
	for _, k := range keys {
		if k.algorithm == algorithm && (k.kid == "" || kid == "" || k.kid == kid) {
			out = append(out, k.key)
		}
	}
	return out
}

// badToken is the refusal of a token that did not verify.
func badToken(err error, c *claims) (Identity, error) {
	if errors.Is(err, jwt.ErrTokenExpired) && c.ExpiresAt != nil {
		return Identity{ExpiresMs: uint64(max(c.ExpiresAt.UnixMilli(), 1))}, tidemark.Refuse(tidemark.BadToken, "the token expired at %s: get a new one", c.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return Identity{}, tidemark.Refuse(tidemark.BadToken, "%s", tokenFault(err))
}

func tokenFault(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "the token is not a JSON Web Token"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "the token's iss is not the one expected"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token's aud is not the one expected"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "the token lacks a claim that is expected here (iss or aud)"
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return "the token's algorithm or key is not one of those configured (HS256, EdDSA, RS256)"
	}
	return "the token's signature is wrong"
}

// FromRequest says who sent a request: Authorization: Bearer with the admin key, with [UserHeader] for whom the app acts;
// or with a user's token. Refusals: BAD_TOKEN; BAD_ARGUMENT for an impossible user; NOT_ALLOWED for a user who names
// another.
func (a *Auth) FromRequest(r *http.Request) (Identity, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "send the header Authorization: Bearer <token>, with a user's token or the admin key")
	}
	actFor := tidemark.UserID(r.Header.Get(UserHeader))
	if a.isAdmin(token) {
		if actFor != "" && (!actFor.Valid() || actFor == tidemark.SystemUser) {
			return Identity{}, tidemark.Refuse(tidemark.BadArgument, "the header %s is %q, which cannot be a user id: use %s", UserHeader, clip(string(actFor)), tidemark.IDAlphabet)
		}
		return Identity{App: true, User: actFor}, nil
	}
	id, err := a.Verify(token)
	switch {
	case err != nil && strings.Count(token, ".") != 2: // it may have been meant as either
		return Identity{}, tidemark.Refuse(tidemark.BadToken, "the admin key or token is wrong: it is neither the admin key of this server nor a JSON Web Token")
	case err != nil:
		return Identity{}, err
	}
	if actFor != "" && actFor != id.User {
		return Identity{}, tidemark.Refuse(tidemark.NotAllowed, "only the admin key may act for another user: leave the header %s out", UserHeader)
	}
	return id, nil
}

func (a *Auth) isAdmin(key string) bool {
	hash := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(hash[:], a.admin[:]) == 1
}

// clip shortens what a stranger wrote, for messages.
func clip(s string) string {
	if len(s) > 80 {
		return clipBytes(s, 80) + "…"
	}
	return s
}

// clipBytes is at most the first n bytes of s, whole characters only.
func clipBytes(s string, n int) string { return strings.ToValidUTF8(s[:n], "") }
