import { expect, test } from 'vitest';
import { addressOf, placeOf, type Place } from './address';

test.each<[string, Place]>([
  ['#/', { page: 'wall' }],
  ['#/camera/thu/cho-1', { page: 'camera', camera: 'thu/cho-1' }],
  ['#/camera/thu/cho-1?at=1795709370480', { page: 'camera', camera: 'thu/cho-1', at: 1_795_709_370_480 }],
  ['#/past/thu', { page: 'past', commune: 'thu', cameras: [] }],
  [
    '#/past/thu?cameras=cho,cau&at=1795709370480',
    { page: 'past', commune: 'thu', cameras: ['cho', 'cau'], at: 1_795_709_370_480 },
  ],
  ['#/storage/thu', { page: 'storage', commune: 'thu' }],
  ['#/plugins/thu', { page: 'plugins', commune: 'thu' }],
  ['#/targets/thu', { page: 'targets', commune: 'thu' }],
  ['#/events/thu', { page: 'events', commune: 'thu', search: '' }],
  ['#/events/thu?text=a%26b', { page: 'events', commune: 'thu', search: '?text=a%26b' }],
  [
    '#/event/thu/01m8b2qnex50956mdjw56n5zqm',
    { page: 'event', commune: 'thu', event: '01m8b2qnex50956mdjw56n5zqm' },
  ],
])('%s is a page, and its address', (address, place) => {
  expect(placeOf(address)).toEqual(place);
  expect(addressOf(place)).toBe(address);
});

test.each([
  '',
  '#',
  '#/elsewhere/thu',
  '#/camera/thu',
  '#/camera/thu/cho?at=soon',
  '#/past/thu/cho',
  '#/storage/thu/x',
  '#/plugins/thu/x',
  '#/targets/thu?x',
  '#/event/thu',
  '#/event/a/../b',
  '#/events/Thu',
])('an address that is none is the wall: %s', (address) => {
  expect(placeOf(address)).toEqual({ page: 'wall' });
});
