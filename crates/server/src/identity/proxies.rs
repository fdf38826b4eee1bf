//! What shows that a request came through a proxy. `--auth dev` believes whoever reaches the port, so it answers none.
//!
//! A TCP forwarder, an SSH tunnel or a proxy that speaks HTTP/1.1, rewrites `Host` and adds nothing shows nothing:
//! no header could prove that it is not there. `--auth link` is for those.

use axum::http::{HeaderMap, Version, header};

/// Headers that proxies, load balancers, tunnels and delivery networks add, and no browser or HTTP client does.
const NAMES: &[&str] = &[
    // RFC 7239, RFC 9110, RFC 8586, RFC 8470
    "forwarded",
    "via",
    "max-forwards",
    "cdn-loop",
    "early-data",
    // What configurations of nginx, Apache, HAProxy, Squid and WebLogic have set for twenty years
    "front-end-https",
    "proxy-connection",
    "surrogate-capability",
    "x-arr-log-id",
    "x-arr-ssl",
    "x-bluecoat-via",
    "x-cdn",
    "x-coming-from",
    "x-forwarder-for",
    "x-host",
    "x-http-proto",
    "x-https",
    "x-nginx-proxy",
    "x-proto",
    "x-proxycontextpath",
    "x-request-start",
    "x-rewrite-url",
    "x-scheme",
    "x-server-name",
    "x-url-scheme",
    "x-varnish",
    "x-via",
    // Heroku's router, Google's and Azure's front ends
    "connect-time",
    "total-route-time",
    "x-appgw-trace-id",
    "x-cloud-trace-context",
    "x-site-deployment-id",
    "x-waws-unencoded-url",
    "disguised-host",
    "was-default-hostname",
];

/// The same by how their names begin.
const FAMILIES: &[&str] = &[
    "x-forwarded",
    "x-forward-",
    "forwarded-",
    "x-original-",
    "x-originating-",
    "x-real-",
    "x-remote-",
    "x-via-",
    // CGI's names, which nginx and Authelia pass on: Remote-Addr, -User, -Email, -Groups, -Name
    "remote-",
    "true-client-",
    "x-true-client-",
    // Home Assistant's ingress
    "x-ingress-",
    // oauth2-proxy, Authelia, authentik, Pomerium
    "x-auth-request-",
    "x-authentik-",
    "x-pomerium-",
    // Grafana's and others' authenticating proxies, Azure's App Service and its tunnels
    "x-webauth-",
    "x-ms-client-principal",
    "x-tunnel-",
    // Envoy, Traefik, HAProxy, Kong, Apache's SSL variables
    "x-envoy-",
    "x-traefik-",
    "x-haproxy-",
    "x-kong-",
    "x-consumer-",
    "x-ssl-",
    "ssl-client-",
    "x-proxy-",
    "x-proxyuser-",
    // Delivery networks of all kinds, Alibaba's, Bunny's, DigitalOcean's
    "x-cdn-",
    "ali-cdn-",
    "bunny-",
    "do-connecting-",
    // Cloudflare and cloudflared, Akamai, Fastly, CloudFront, AWS load balancers, Azure, Google
    "cf-",
    "akamai-",
    "x-akamai-",
    "fastly-",
    "cloudfront-",
    "x-amz-cf-",
    "x-amzn-",
    "x-azure-",
    "x-fd-",
    "x-appengine-",
    "x-goog-",
    "x-google-",
    // Fly, Vercel, Netlify, Render, Railway, Heroku; ngrok, Tailscale
    "fly-",
    "x-vercel-",
    "x-nf-",
    "x-render-",
    "x-railway-",
    "ngrok-",
    "x-ngrok-",
    "tailscale-",
    "x-tailscale-",
];

/// The same by how their names end: nobody but who stands between says from which address somebody came.
const ADDRESSES: &[&str] = &["-ip", "-clientip"];

/// What of a request shows a proxy, if something does. What hands headers to CGI takes `_` and `-` for one.
pub(crate) fn shown(version: Version, headers: &HeaderMap) -> Option<&str> {
    let proxies = |name: &str| {
        let name = name.replace('_', "-");
        NAMES.contains(&name.as_str())
            || FAMILIES.iter().any(|family| name.starts_with(family))
            || ADDRESSES.iter().any(|end| name.ends_with(end))
    };
    if let Some(name) = headers.keys().map(header::HeaderName::as_str).find(|name| proxies(name)) {
        return Some(name);
    }
    // nginx speaks it to what is behind it unless told otherwise; browsers and HTTP clients have not for long.
    (version < Version::HTTP_11).then_some("HTTP/1.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_known_by_what_they_add_and_others_are_not() {
        let added = |name: &'static str| {
            let headers =
                HeaderMap::from_iter([(header::HeaderName::from_static(name), "x".parse().expect("a value"))]);
            shown(Version::HTTP_11, &headers).map(str::to_owned)
        };
        for name in NAMES {
            assert_eq!(added(name).as_deref(), Some(*name));
        }
        // As documented by nginx, Caddy, Traefik, HAProxy, Envoy, Cloudflare, Fly, Vercel, ngrok and Tailscale.
        for name in [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-server",
            "x-forwarded-client-cert",
            "x-envoy-external-address",
            "x-envoy-expected-rq-timeout-ms",
            "cf-connecting-ip",
            "cf-ray",
            "cf-visitor",
            "cf-access-jwt-assertion",
            "fly-client-ip",
            "x-vercel-id",
            "x-amzn-trace-id",
            "x-amz-cf-id",
            "ngrok-trace-id",
            "tailscale-user-login",
            "x-azure-clientip",
            "x-original-uri",
            "x-originating-ip",
            "x-real-ip",
            "x-real-proto",
            "x-remote-user",
            "x-forward-for",
            "forwarded-for",
            "true-client-ip",
            "x-true-client-ip",
            "x-ingress-path",
            "x-forwarded",
            "x_forwarded_for",
            "x-cdn-src-ip",
            "ali-cdn-real-ip",
            "do-connecting-ip",
            "bunny-client-ip",
            "client-ip",
            "wl-proxy-client-ip",
            "x-sucuri-clientip",
            "x-somebodys-ip",
            "x-via",
            "x-ms-client-principal",
            "x-ms-client-principal-name",
            "x-webauth-user",
            "remote-addr",
            "remote-email",
            "remote-user",
            "remote_groups",
            "x-tunnel-authorization",
        ] {
            assert!(added(name).is_some(), "{name}");
        }
        for name in [
            "accept-encoding",
            "connection",
            "content-type",
            "priority",
            "sec-fetch-site",
            "traceparent",
            "upgrade",
            "x-request-id",
            "x-requested-with",
            "x-threadmill-user",
            "dnt",
            "user-agent",
            "x-csrf-token",
            "if-none-match",
        ] {
            assert_eq!(added(name), None, "{name}");
        }
        assert_eq!(shown(Version::HTTP_10, &HeaderMap::new()), Some("HTTP/1.0"));
    }
}
