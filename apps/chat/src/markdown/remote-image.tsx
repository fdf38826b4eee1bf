//! An image of a message: a placeholder that names the host, and the image once the reader asks for it.

import { useState } from 'react';
import { glanceOf } from '../text/text';
import { safeImage } from './safe-url';

/** Nothing is fetched before the click: an image address can tell a stranger who reads what, and when. */
export function RemoteImage({ source, alt }: { source: string; alt: string }) {
  const [shown, setShown] = useState(false);
  const image = safeImage(source);
  const name = glanceOf(alt);
  if (!image) return <span className="md-dead-link">{name || 'image'}</span>;
  if (!shown) {
    return (
      <button type="button" className="md-image-ask" onClick={() => setShown(true)}>
        <span className="md-image-alt" dir="auto">
          {name || 'Image'}
        </span>
        <span className="md-image-host">Load from {image.host}</span>
      </button>
    );
  }
  return <img className="md-image" src={image.href} alt={alt} loading="lazy" referrerPolicy="no-referrer" />;
}
